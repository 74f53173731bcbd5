// TLS on a connection that began without it: STARTTLS of SMTP and its kind (RFC 3207), PostgreSQL's
// SSLRequest, and servers that find out from the first bytes.
//
// Theory of operation
//
//     open ──▶ upgrading: the reply, if any, then the handshake ──▶ open, with an engine
//
// Rule 1: nothing that came in the clear may pass for something that was said under TLS. A peer waits
// for the go-ahead, so what is unread before it was put there by somebody else, or by a peer that does
// not know better. It is refused before a byte of the reply leaves, and again before each further
// piece of it; a client refuses it before its ClientHello. From then on everything that comes is fed
// to the engine, and to nobody else.
// Rule 2: nobody reads or writes across. A call that waits when the upgrade begins refuses it, as
// nobody could tell on which side of it its bytes are; calls that come later wait until it is over.
// Rule 3: once it has begun there is no way back: what ends the upgrade ends the connection. A call
// that is refused before leaves the connection as it was.

import SocketCore
import Synchronization

extension Connection {
    /// What an upgrade is made from, but for the engine.
    struct Upgrade {
        /// Who answers the engine's questions.
        var decider: TLSDecider?
        /// The key of a client's sessions.
        var sessionKey: SessionKey?
        /// What a listener's side sends in the clear first.
        var reply: [UInt8] = []
        /// What the application has read and not used.
        var unread: [UInt8] = []
        /// What is unread when it begins belongs to TLS: the peer waits for no reply.
        var takesUnread = false
        /// The time for all of it; nil is ``SocketLimits/handshake``.
        var timeout: Duration?
    }

    /// Starts TLS on a connection that is open; returns when the handshake is done.
    ///
    /// - Throws: ``SocketError``: `.cannotStartTLS` when this is not the moment, and the connection goes
    ///   on without; anything else ends it.
    func startTLS(
        _ engine: consuming TLSEngine,
        _ upgrade: Upgrade
    ) async throws(SocketError) -> SocketInfo {
        guard !Task.isCancelled else {
            throw SocketError(.aborted, detail: "the task was cancelled")
        }
        try begin(upgrade, engine)
        armTimer()
        watchSessions()
        let failure = await withTaskCancellationHandler { () -> SocketError? in
            do throws(SocketError) {
                try await sendReply(upgrade.reply)
                try await handshake()
                return nil
            } catch {
                return error
            }
        } onCancel: {
            abort(reason: "the task that starts TLS was cancelled")
        }
        if let failure {
            // Over already, but for a wait that could not be.
            end(CloseReason(failure), failure: failure, departure: .abrupt)
            throw failure
        }
        guard let info else { throw SocketError(.closed) }
        return info
    }

    /// Waits until there is a connection to start TLS on, and refuses it where that is not the moment.
    func awaitUpgradable() async throws(SocketError) {
        // Before it waits: a second call must not wait for the first.
        if let refusal = state.withLock({ $0.refusesUpgrade(hasBody: sendsBody) }) {
            throw refusal
        }
        try await waitUntilEstablished()
    }

    /// Makes the connection one that starts TLS.
    private func begin(
        _ upgrade: Upgrade,
        _ engine: consuming TLSEngine
    ) throws(SocketError) {
        var engine = Optional(engine)
        let refusal = state.withLock { s -> SocketError? in
            guard s.failure == nil else { return nil }
            if let refusal = s.refusesUpgrade(hasBody: sendsBody) { return refusal }
            s.begin(upgrade, engine.take(), role, limits)
            return nil
        }
        if let refusal { throw refusal }
        if state.withLock({ $0.hasFailed }) { throw conclude() }
    }

    private var sendsBody: Bool { hasBody.load(ordering: .relaxed) }

    /// Sends the go-ahead; from its last byte on the peer speaks TLS.
    private func sendReply(_ reply: [UInt8]) async throws(SocketError) {
        var offset = 0
        while true {
            let place = offset
            let (step, sent) = state.withLock { s in s.sendReply(reply.span, from: place) }
            offset = sent
            switch step {
            case .done: return
            case .failed: throw conclude()
            case .wait, .pause: _ = try await wait(.write, .wait)
            }
        }
    }
}

extension Connection.Storage {
    /// Why TLS cannot be started now; nil when it can, or could once the connection is there.
    func refusesUpgrade(hasBody: Bool) -> SocketError? {
        guard failure == nil else { return nil }
        let reason: String? =
            switch lifecycle.phase {
            case .upgrading: "TLS is being started already"
            case _ where isTLS: "the socket speaks TLS already"
            case _ where hasBody: "the socket sends a body"
            case .connecting, .handshaking, .lingering, .closed: nil
            case .readEnded, .ended: "the peer has ended its side"
            case .writeEnded: "the sending side has ended"
            case .open:
                readTurn.isHeld ? "a read waits" : writeTurn.isHeld ? "a write waits" : nil
            }
        return reason.map {
            SocketError(
                .cannotStartTLS,
                detail: $0,
                hint: lifecycle.phase == .open && !isTLS
                    ? "Start TLS when no other task reads or writes" : nil
            )
        }
    }

    /// Takes the engine in, unless the peer has spoken out of turn: `failure` is set then.
    mutating func begin(
        _ upgrade: Connection.Upgrade,
        _ engine: consuming TLSEngine?,
        _ role: TLSRole,
        _ limits: SocketLimits
    ) {
        if !upgrade.takesUnread {
            guard upgrade.unread.isEmpty else {
                failure = .plaintextBeforeTLS(remote)
                return
            }
            refuseUnread()
            guard failure == nil else { return }
        }
        self.engine = engine
        watchEngine()
        // With a reply to come, nothing of the peer's is TLS yet.
        isTLS = false
        isStartingTLS = true
        advance(.upgrade)
        mustFetch = role == .server && upgrade.unread.isEmpty
        if !upgrade.unread.isEmpty {
            unsafe upgrade.unread.withUnsafeBufferPointer { unsafe inbound.append($0) }
        }
        decider = upgrade.decider
        sessionKey = upgrade.sessionKey
        establishDeadline = EventLoop.readClock()
            .advanced(by: upgrade.timeout ?? limits.handshake)
    }

    /// Sends the rest of a reply that goes before TLS.
    ///
    /// - Returns: What came of it, and how far it got.
    mutating func sendReply(_ reply: Span<UInt8>, from start: Int) -> (SendStep, Int) {
        var offset = start
        while offset < reply.count {
            guard failure == nil else { return (.failed, offset) }
            guard !isFull else { return (.wait, offset) }
            // Again for each piece: until the last has left, the peer cannot have read it.
            refuseUnread()
            guard failure == nil else { return (.failed, offset) }
            let count = unsafe reply.extracting(offset..<reply.count).withUnsafeBytes {
                unsafe Syscalls.send(descriptor, $0)
            }
            if count >= 0 {
                offset += count
                bytesSent &+= UInt64(count)
            } else if !noteSendFailure(count) {
                return (.failed, offset)
            }
        }
        guard failure == nil else { return (.failed, offset) }
        isTLS = true
        return (.done, offset)
    }

    /// Sets `failure` when the peer has said something that nobody has read, or is gone.
    private mutating func refuseUnread() {
        var byte: UInt8 = 0
        // A look at the data, not a question for its size: that one stops at urgent data.
        let count = unsafe withUnsafeMutableBytes(of: &byte) {
            unsafe Syscalls.peek(descriptor, into: $0)
        }
        if count > 0 {
            failure = .plaintextBeforeTLS(remote)
        } else if count < 0, Errno(result: count) != .wouldBlock {
            fail(Errno(result: count), "recv")
        }
    }
}

extension SocketError {
    /// The peer sent data before TLS had begun.
    static func plaintextBeforeTLS(_ remote: SocketAddress?) -> SocketError {
        SocketError(
            .plaintextBeforeTLS,
            detail: "it came before the go-ahead was given",
            hint: "It may have been put there by somebody on the way, to pass for data under TLS",
            address: remote
        )
    }
}
