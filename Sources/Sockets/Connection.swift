// One connection: a descriptor, an optional TLS engine, and whoever waits for them, behind one lock.
//
// Theory of operation
//
// Callers on any thread take the lock, try `recv`, `send` and the engine right there, and suspend
// only when the kernel has nothing for them. The event loop reports readiness and deadlines and
// resumes who waits; it never moves data, except what is left to send when nobody waits for it.
//
//     read:   spill or recv ─▶ thread's scratch ─▶ engine ─▶ the caller's buffer
//     write:  the caller's buffer ─▶ engine ─▶ thread's scratch ─▶ one send
//
// - `isDrained` and `isFull` remember what the kernel said last, so a call that can only fail is not
//   made. Edges of epoll clear them. After a hang-up the short cut is off, or a FIN behind the last
//   data would be lost.
// - One task at a time suspends for reading and one for writing; others queue behind it in order.
// - A failure is kept and told to everybody who asks later.
// - Nothing suspends with the lock held, and no continuation is resumed under it.

import SocketCore
import Synchronization

/// The inside of a socket.
///
/// Public types are thin handles on it.
final class Connection: ReadinessSource, @unchecked Sendable {
    // Sendable: everything that changes is behind `state`.
    let loop: EventLoop
    let limits: SocketLimits
    let allowHalfOpen: Bool
    let role: TLSRole
    let state: Mutex<Storage>
    /// A hint that the next read had better wait at once, as the last one took all there was.
    let expectsWait = Atomic<Bool>(false)
    /// A body has the sending side; other writes are refused.
    let hasBody = Atomic<Bool>(false)

    /// Everything that changes.
    struct Storage: ~Copyable {
        // First what every read and write looks at, side by side: it is fetched line by line.

        var descriptor: Int32 = -1
        var lifecycle: SocketState
        /// Whether the connection speaks TLS; the engine comes before the handshake.
        var isTLS: Bool
        /// The last `recv` took all there was.
        var isDrained = false
        /// The last `send` was not taken whole.
        var isFull = false
        /// epoll has told of a FIN, a hang-up or an error: receive until the end shows.
        var hasHungUp = false
        /// epoll has told of a hang-up or an error: who was busy with what came before looks for a reset.
        var mayBeReset = false
        /// The transport's end was read.
        var transportEnded = false
        /// The handshake can go on only with more from the peer.
        var mustFetch = false
        /// The engine may hold decrypted bytes.
        var mayHavePlaintext = false
        /// Whether the next ciphertext goes straight into OpenSSL's buffer.
        var expectsLarge = false
        /// What every later call gets.
        var failure: SocketError?
        /// What was read and written since a task of this connection last waited, see ``burstMax``.
        var burst = 0
        /// The task whose scope covers cancellation; compared, never followed.
        var scopeTask: UInt = 0
        var bytesSent: UInt64 = 0
        var bytesReceived: UInt64 = 0
        var readTurn = Turn()
        var writeTurn = Turn()
        /// Ciphertext received and not consumed.
        var inbound = ByteSpill()
        /// Ciphertext produced and not sent.
        var outbound = ByteSpill()
        /// What is in `outbound` leaves at the end of the loop's turn, or with what is sent before.
        var isBatched = false
        /// Whose storage this is.
        // Safe: the storage is a part of it.
        unowned(unsafe) var owner: Connection?
        var idleTimeout: Duration?
        var engine: TLSEngine?

        // Then what is looked at now and then.

        /// The part of `outbound` that answers the peer's messages, since it was last empty.
        var unsentAnswers = 0
        /// The most that part may be.
        let pendingAnswers: Int
        /// The number of the latest wait.
        var lastTicket: Turn.Ticket = 0
        /// Who waits for the connection to be established.
        var establishing: [Waiter] = []
        /// Who waits for the end.
        var closing: [Waiter] = []
        /// Why it ended; set once.
        var closeReason: CloseReason?
        /// The task that establishes the connection.
        var connectTask: Task<Void, Never>?
        /// The task that sends the body; while it runs the sending side is its own.
        var bodyTask: Task<Void, Never>?
        /// Called once when the connection is over.
        var onClosed: [@Sendable () -> Void] = []

        /// The peer; made readable when somebody asks, as that costs more than to accept.
        var remoteAddress: NetworkAddress?
        var local: SocketAddress?
        /// What TCP counted until the descriptor was closed.
        var finalStatistics: TCPStatistics?
        /// How long resolving and connecting took.
        var connectTimings = HandshakeTimings()
        /// When the handshake began, the peer's first flight came, and the handshake was done; 0 for not
        /// yet.
        var handshakeBegan = LoopInstant(nanoseconds: 0)
        var firstFlightAt = LoopInstant(nanoseconds: 0)
        var handshakeDoneAt = LoopInstant(nanoseconds: 0)

        var lastActivity = LoopInstant(nanoseconds: 0)
        /// Bytes sent and received until the loop last came by.
        var sweptTraffic: UInt64 = 0
        /// When connecting and handshaking must be done.
        var establishDeadline: LoopInstant?
        /// How far the way to the descriptor has come.
        var connectPhase = HandshakePhase.connecting
        var lingerDeadline: LoopInstant?
        /// A FIN is behind the last bytes of a connection that lingers.
        var hasSentEnd = false
        var lingerBytesLeft = 0
        /// The connection was ready once.
        var wasEstablished = false
        /// `close` was called: the connection's end is its business.
        var isClosing = false
        /// Both sides ended in good order, so whoever reads now finds the end of the stream.
        var hasRunOut = false
        /// The stream has a consumer already.
        var isLocked = false
        /// The key of a client's sessions; nil is the process's.
        var sessionKey: SessionKey?
        /// Who wants a client's sessions as they come; nil while nobody does.
        var sessionFeed: SessionFeed?
        /// Who answers the engine's questions; nil when it has none.
        var decider: TLSDecider?
        /// The question that waits for the application.
        var openQuestion: OpenQuestion?
        /// Who waits for the client's certificate behind the handshake.
        var lateRequest: LateRequest?
        /// Answers early data before the handshake is complete.
        var earlyAnswer: EarlyAnswerCallback?
        /// Where it waits for its handshake's turn; nil once that has come.
        var gate: HandshakeGate?
        /// Where it has a slot, for the time of its handshake.
        var slot: HandshakeGate?
        /// The turn of the loop in which it became ready.
        var establishedAt = LoopInstant(nanoseconds: 0)
        /// TLS was started on an open connection, and is not established yet.
        var isStartingTLS = false
        /// Who is told of events; nil until somebody asks.
        var watch: ConnectionWatch?

        /// Its place in the line for that.
        var place: (HandshakeGate.Place, HandshakeGate)?
        /// The listener it came in at, until it ends, and what it is counted under there.
        var listener: ListenerCore?
        var admission = ListenerAdmission.Ticket(key: nil)
        var rosterPlace = 0
        /// The loop runs its handshake, see ``Connection/arrive()``.
        var isArriving = false
        /// A task runs its handshake, or what the loop has left of it, and ends its arrival.
        var isHandedOver = false
        /// What the loop's last step of the handshake has left for a task.
        var stepToTake: HandshakeStep?

        var hasFailed: Bool { failure != nil }

        var remote: SocketAddress? { remoteAddress.map { SocketAddress($0) } }

        /// After so many bytes without a wait, others on the loop have their turn: a peer that sends, or
        /// reads, as fast as this side can would have the loop for itself.
        static let burstMax = 1 << 20

        /// The most bytes that one step encrypts, or decrypts straight from the kernel: between two the burst is
        /// looked at.
        static let stepMax = 128 << 10

        /// Counts a call that moved bytes; a small one costs as much as some KiB.
        @inline(__always)
        mutating func countBurst(_ bytes: Int) {
            burst &+= bytes | 4096
        }

        init(_ phase: SocketState.Phase, isTLS: Bool, limits: SocketLimits) {
            lifecycle = SocketState(phase)
            self.isTLS = isTLS
            pendingAnswers = limits.pendingAnswers
        }
    }

    /// Makes a connection that is still to be established.
    init(
        loop: EventLoop,
        role: TLSRole,
        isTLS: Bool,
        limits: SocketLimits,
        allowHalfOpen: Bool
    ) {
        self.loop = loop
        self.role = role
        self.limits = limits
        self.allowHalfOpen = allowHalfOpen
        state = Mutex(Storage(.connecting, isTLS: isTLS, limits: limits))
        super.init()
        state.withLock { s in unsafe s.owner = self }
    }

    deinit {
        // Only a loop that was shut down lets go of a connection that is still open.
        let watch = state.withLock { s in
            if s.descriptor >= 0 { s.closeDescriptor() }
            return s.watch
        }
        watch?.feed.finish()
    }

    /// Takes over a connected descriptor and has the loop watch it.
    ///
    /// - Parameters:
    ///   - descriptor: Connected; it is this connection's from here on, also when this throws.
    ///   - engine: For TLS: an engine whose handshake has not begun.
    ///   - local: This side's address.
    ///   - remote: The peer's address.
    /// - Throws: ``SocketError`` when this connection is over already, or epoll refuses it.
    func adopt(
        _ descriptor: consuming Descriptor,
        engine: consuming TLSEngine?,
        local: SocketAddress?,
        remote: NetworkAddress
    ) throws(SocketError) {
        let number = descriptor.take()
        var engine = consume engine
        let (failure, isOurs) = state.withLock { s -> (SocketError?, Bool) in
            if let failure = s.failure {
                Syscalls.close(number)
                return (failure, false)
            }
            s.descriptor = number
            s.engine = engine.take()
            s.watchEngine()
            // A server has nothing to say before the hello.
            s.mustFetch = role == .server
            s.local = local
            s.remoteAddress = remote
            s.advance(.connected)
            // Under the lock: nobody can close the number, and have it used again, meanwhile.
            do throws(SystemCallError) {
                try loop.register(self, descriptor: number)
                return (nil, true)
            } catch {
                return (SocketError.system(error, address: SocketAddress(remote)), true)
            }
        }
        guard let failure else { return }
        if isOurs { end(.failed(failure), failure: failure) }
        throw failure
    }

    // MARK: Called by the loop

    override func readinessChanged(_ readiness: Readiness) {
        // Nearly always there is something to read, room to send as before, and a reader.
        guard readiness == [.readable, .writable], let reader = takeReader() else {
            takeIn(readiness)
            return
        }
        reader.resume()
    }

    /// Takes in that there is something to read; nil when that is not all there is to do.
    @inline(__always)
    private func takeReader() -> Waiter? {
        state.withLock { s in
            guard s.lifecycle.phase == .open, !s.isFull, s.outbound.isEmpty, !s.hasFailed else {
                return nil
            }
            s.isDrained = false
            noteSeniority(s.establishedAt)
            return s.readTurn.takeWaiter()
        }
    }

    private func takeIn(_ readiness: Readiness) {
        let hangUp: Readiness = [.peerClosedWrite, .hangUp, .error]
        let wakes = state.withLock { s -> Wakes in
            if !readiness.isDisjoint(with: hangUp) { s.hasHungUp = true }
            var wakes = Wakes()
            if !readiness.isDisjoint(with: hangUp.union(.readable)) {
                s.isDrained = false
                wakes.reader = s.readTurn.takeWaiter()
            }
            if !readiness.isDisjoint(with: hangUp.union(.writable)) {
                s.isFull = false
                if !s.outbound.isEmpty, s.failure == nil { _ = s.flush() }
                wakes.writer = s.writeTurn.takeWaiter()
            }
            wakes.isArriving = s.isArriving && !readiness.isDisjoint(with: hangUp.union(.readable))
            if s.lifecycle.phase == .lingering { wakes.isLingering = true }
            // What was left was sent, or could not be: maybe nobody else is there to notice.
            wakes.hasFailed = s.failure != nil && s.closeReason == nil
            wakes.hasRunOut = s.hasSaidAll
            let isGone = !readiness.isDisjoint(with: [.hangUp, .error])
            if isGone {
                s.mayBeReset = true
                wakes.isUnattended = wakes.reader == nil && wakes.writer == nil
            }
            return wakes
        }
        wakes.reader?.resume()
        wakes.writer?.resume()
        if wakes.isArriving { loop.enqueue(self) }
        if wakes.isLingering { linger() }
        if wakes.hasFailed { _ = conclude() }
        if wakes.hasRunOut { endIfBothSidesHave() }
        if wakes.isUnattended { noticeReset() }
    }

    override func turnComes() {
        arrive()
    }

    override func turnEnds() {
        let hasFailed = state.withLock { s in
            if s.isBatched { _ = s.flush() }
            s.outbound.own()
            return s.failure != nil && s.closeReason == nil
        }
        if hasFailed { _ = conclude() }
    }

    override func deadlineReached() {
        checkDeadlines()
    }

    override func sweep() -> Bool {
        // A connection whose lock is taken is not idle.
        state.withLockIfAvailable { s in
            guard s.engine?.keepsBuffers == true, s.descriptor >= 0 else { return false }
            let traffic = s.bytesReceived &+ s.bytesSent
            let isIdle = traffic == s.sweptTraffic
            s.sweptTraffic = traffic
            if isIdle { s.engine?.releaseBuffers() }
            return !isIdle
        } ?? true
    }

    /// What an edge of readiness leads to, once the lock is released.
    private struct Wakes {
        var reader: Waiter?
        var writer: Waiter?
        var isArriving = false
        var isLingering = false
        var isUnattended = false
        var hasFailed = false
        var hasRunOut = false
    }
}

/// How long the steps to a connection took; nil for steps that were not taken.
public struct HandshakeTimings: Hashable, Sendable {
    /// Looking the name up.
    public var resolution: Duration?
    /// Opening the transport's connection.
    public var connect: Duration?
    /// From the handshake's first byte, on a server from the acceptance, to the peer's first flight.
    public var firstFlight: Duration?
    /// The whole TLS handshake.
    public var handshake: Duration?

    /// Makes timings of nothing.
    public init() {}
}

extension Connection.Storage {
    /// How long the steps of the way here took; reckoned when somebody asks, as a `Duration` costs more to
    /// make than to have measured.
    var timings: HandshakeTimings {
        var timings = connectTimings
        if firstFlightAt.nanoseconds > 0 {
            timings.firstFlight = handshakeBegan.duration(to: firstFlightAt)
        }
        if handshakeDoneAt.nanoseconds > 0 {
            timings.handshake = handshakeBegan.duration(to: handshakeDoneAt)
        }
        return timings
    }
}
