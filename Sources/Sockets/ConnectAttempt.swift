// One attempt to connect to one address: nonblocking, with its own deadline, and cancellable. The
// loop watches the descriptor for the attempt's length only; the connection registers it anew.

import SocketCore
import Synchronization

/// An attempt to connect to one address.
final class ConnectAttempt: ReadinessSource, @unchecked Sendable {
    // Sendable: what changes is behind `state`.
    private struct State {
        var waiter: Waiter?
        var outcome: Outcome?
    }

    private enum Outcome {
        case ready, timedOut, cancelled
    }

    private let state = Mutex(State())

    /// Connects.
    ///
    /// - Parameters:
    ///   - address: Where to.
    ///   - local: The local address to bind first.
    ///   - options: Set before connecting, so the first packet has them.
    ///   - loop: The loop that watches.
    ///   - timeout: Time for this address.
    /// - Returns: The connected descriptor.
    /// - Throws: ``SocketError`` with the address.
    static func connect(
        to address: NetworkAddress,
        from local: NetworkAddress?,
        options: SocketOptions,
        loop: EventLoop,
        timeout: Duration
    ) async throws(SocketError) -> Descriptor {
        let shown = SocketAddress(address)
        var progress = ConnectProgress.inProgress
        let descriptor = try begin(address, local, options, &progress)
        guard progress == .inProgress else { return descriptor }
        let attempt = ConnectAttempt()
        do throws(SystemCallError) {
            try loop.register(attempt, descriptor: descriptor.rawValue)
        } catch {
            throw .system(error, address: shown)
        }
        loop.arm(attempt, at: EventLoop.readClock().advanced(by: timeout))
        let outcome = await attempt.result()
        try? loop.deregister(descriptor.rawValue)
        loop.retire(attempt)
        switch outcome {
        case .ready: break
        case .cancelled: throw SocketError(.aborted, address: shown, phase: .connecting)
        case .timedOut:
            throw SocketError(.connectTimedOut, address: shown, phase: .connecting)
        }
        if let errno = StreamSocket.pendingError(descriptor.rawValue) {
            throw .system(errno, "connect", address: shown, phase: .connecting)
        }
        return descriptor
    }

    /// Starts the attempt in the kernel.
    private static func begin(
        _ address: NetworkAddress,
        _ local: NetworkAddress?,
        _ options: SocketOptions,
        _ progress: inout ConnectProgress
    ) throws(SocketError) -> Descriptor {
        do throws(SystemCallError) {
            let descriptor = try StreamSocket.make(for: address)
            try options.apply(to: descriptor.rawValue, family: address.family)
            if let local { try StreamSocket.bind(descriptor, to: local) }
            progress = try StreamSocket.connect(descriptor, to: address)
            return descriptor
        } catch {
            let shown = SocketAddress(address)
            throw .system(error.errno, error.call, address: shown, phase: .connecting)
        }
    }

    private func result() async -> Outcome {
        await withTaskCancellationHandler {
            await Waiter.suspend { waiter in
                state.withLock { s in
                    guard s.outcome == nil else { return false }
                    s.waiter = waiter
                    return true
                }
            }
        } onCancel: {
            settle(.cancelled)
        }
        return state.withLock { $0.outcome } ?? .cancelled
    }

    private func settle(_ outcome: Outcome) {
        let waiter = state.withLock { s -> Waiter? in
            guard s.outcome == nil else { return nil }
            s.outcome = outcome
            defer { s.waiter = nil }
            return s.waiter
        }
        waiter?.resume()
    }

    override func readinessChanged(_ readiness: Readiness) {
        // The first edge of a fresh socket may say hang-up before the attempt has begun to show.
        guard !readiness.isDisjoint(with: [.writable, .error, .hangUp]) else { return }
        settle(.ready)
    }

    override func deadlineReached() {
        settle(.timedOut)
    }
}
