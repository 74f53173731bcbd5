// One end of a relayed connection: a descriptor on a loop, what its edges told, and the bytes that the
// kernel did not take. It knows how to move bytes; what they mean is the relay's.

import SocketCore

/// The client's or the backend's end of a relay; touched on its loop's thread alone.
final class RelayEnd: ReadinessSource, @unchecked Sendable {
    // Sendable: all that changes is touched on the loop's thread alone.

    /// What one receiving call may take, which is also the most that is kept for a slow reader: 64 KiB
    /// in each direction.
    static let chunkMax = 64 << 10

    /// What one attempt to receive gave.
    enum Intake {
        /// So many bytes, in the thread's scratch.
        case bytes(Int)
        /// Nothing now; an edge will tell.
        case later
        /// The end.
        case end
        /// The connection is lost.
        case lost(Errno)
    }

    /// Whose end it is; nil when the relay is over, or has given this end up.
    var relay: Relay?
    /// The descriptor, which it closes; -1 without one.
    private(set) var descriptor: Int32
    /// The kernel may have bytes.
    private(set) var mayRead = false
    /// The kernel may have room.
    private(set) var mayWrite = false
    /// The peer has ended or broken something: no further edge will tell of it.
    private(set) var isHungUp = false
    /// All was read.
    private(set) var isAtEnd = false
    /// The peer was told that nothing follows.
    private(set) var isShut = false
    /// What the kernel did not take, from `sent` on.
    private var unsent: [UInt8] = []
    private var sent = 0

    init(_ descriptor: consuming Descriptor) {
        self.descriptor = descriptor.take()
        super.init()
    }

    deinit { closeDescriptor() }

    /// Whether everything was handed to the kernel.
    var isFlushed: Bool { unsent.isEmpty }

    override func readinessChanged(_ readiness: Readiness) {
        let isBroken = !readiness.isDisjoint(with: [.hangUp, .error])
        if isBroken || readiness.contains(.peerClosedWrite) { isHungUp = true }
        if isBroken || readiness.contains(.readable) || isHungUp && !isAtEnd { mayRead = true }
        if isBroken || readiness.contains(.writable) { mayWrite = true }
        relay?.moved(self, isBroken: isBroken)
    }

    override func deadlineReached() { relay?.deadlineReached() }

    // MARK: Bytes

    /// Receives into the thread's scratch.
    func receive() -> Intake {
        // Inside the area that this thread may use until it returns to its loop.
        let room = unsafe UnsafeMutableRawBufferPointer(
            rebasing: ThreadScratch.input()[..<RelayEnd.chunkMax]
        )
        let count = unsafe Syscalls.receive(descriptor, into: room)
        if count > 0 {
            // Less than there was room for is all there is, unless the end stands behind it.
            if count < RelayEnd.chunkMax, !isHungUp { mayRead = false }
            return .bytes(count)
        }
        if count == 0 {
            (isAtEnd, mayRead) = (true, false)
            return .end
        }
        let errno = Errno(rawValue: Int32(-count))
        guard errno == .wouldBlock else { return .lost(errno) }
        mayRead = false
        return .later
    }

    /// Sends what stands in the thread's scratch, and keeps what the kernel does not take.
    ///
    /// - Returns: What failed; nil for nothing.
    func sendReceived(_ count: Int) -> Errno? {
        // The same area, which nobody has used since.
        unsafe send(UnsafeRawBufferPointer(rebasing: ThreadScratch.input()[..<count]))
    }

    /// Sends bytes, and keeps what the kernel does not take.
    ///
    /// - Returns: What failed; nil for nothing.
    func send(_ bytes: [UInt8]) -> Errno? {
        unsafe bytes.withUnsafeBytes { unsafe send($0) }
    }

    private func send(_ bytes: UnsafeRawBufferPointer) -> Errno? {
        var taken = 0
        if mayWrite, isFlushed {
            taken = unsafe Syscalls.send(descriptor, bytes)
            if taken < 0 {
                let errno = Errno(rawValue: Int32(-taken))
                guard errno == .wouldBlock else { return errno }
                taken = 0
            }
        }
        if taken < bytes.count {
            mayWrite = false
            unsafe unsent += bytes[taken...]
        }
        return nil
    }

    /// Sends what was kept.
    ///
    /// - Returns: What failed; nil for nothing.
    func flush() -> Errno? {
        guard !unsent.isEmpty, mayWrite else { return nil }
        // The array outlives the call.
        let taken = unsafe unsent.withUnsafeBytes {
            unsafe Syscalls.send(
                descriptor,
                UnsafeRawBufferPointer(rebasing: $0[sent...])
            )
        }
        if taken < 0 {
            let errno = Errno(rawValue: Int32(-taken))
            mayWrite = false
            return errno == .wouldBlock ? nil : errno
        }
        sent += taken
        if sent < unsent.count {
            mayWrite = false
        } else {
            (unsent, sent) = ([], 0)
        }
        return nil
    }

    // MARK: The end

    /// The connection stands: there is room until the kernel says otherwise.
    func noteConnected() { mayWrite = true }

    /// Tells the peer that nothing follows; once.
    func shut() {
        guard !isShut else { return }
        isShut = true
        // What fails here is lost already, which the next edge tells.
        try? StreamSocket.shutdownWrite(descriptor)
    }

    /// Closes the descriptor.
    ///
    /// - Parameters:
    ///   - loop: Where it is registered.
    ///   - isCut: The peer is to see that something was lost.
    func close(on loop: EventLoop, isCut: Bool) {
        relay = nil
        if isCut, descriptor >= 0 { try? StreamSocket.setResetOnClose(descriptor) }
        closeDescriptor()
        loop.retire(self)
        (unsent, sent) = ([], 0)
    }

    private func closeDescriptor() {
        guard descriptor >= 0 else { return }
        Syscalls.close(descriptor)
        descriptor = -1
    }
}
