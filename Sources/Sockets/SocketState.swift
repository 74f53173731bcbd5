// The states of a connection.
//
//     connecting ──connected──▶ handshaking ──established──▶ open
//                                                             │ peerEnded        localEnded
//                                                             ▼                      ▼
//                                                         readEnded ───┐     ┌── writeEnded
//                                                             localEnded▼   ▼peerEnded
//                                                                      ended
//     open ──upgrade──▶ upgrading ──established──▶ open
//     any state ──linger──▶ lingering ──finish──▶ closed        any state ──finish──▶ closed
//
// Rule 1: every change of state happens in this file; the connection acts.
// Rule 2: lingering means: nothing is delivered any more, the descriptor stays only so that what was
// sent last reaches the peer. It is bounded in time and bytes.
// Rule 3: closed is final, and the descriptor is gone.
// Rule 4: upgrading means: TLS is being started on a connection that was open without; as while
// handshaking, data waits.

/// The state of a connection; a pure value.
struct SocketState: Hashable, Sendable {
    enum Phase: UInt8, CaseIterable, Sendable {
        case connecting, handshaking, open, readEnded, writeEnded, ended, lingering, closed
        case upgrading
    }

    enum Event: UInt8, CaseIterable, Sendable {
        case connected, established, peerEnded, localEnded, linger, finish
        case upgrade
    }

    /// An event that has no meaning in a state.
    struct IllegalTransition: Error, Hashable {
        var phase: Phase
        var event: Event
    }

    private(set) var phase: Phase

    init(_ phase: Phase) {
        self.phase = phase
    }

    mutating func apply(_ event: Event) throws(IllegalTransition) {
        phase =
            switch (phase, event) {
            case (.connecting, .connected): .handshaking
            case (.handshaking, .established), (.upgrading, .established): .open
            case (.open, .upgrade): .upgrading
            case (.open, .peerEnded), (.readEnded, .peerEnded): .readEnded
            case (.writeEnded, .peerEnded), (.ended, .peerEnded): .ended
            case (.open, .localEnded), (.writeEnded, .localEnded): .writeEnded
            case (.readEnded, .localEnded), (.ended, .localEnded): .ended
            case (.lingering, .peerEnded), (.lingering, .localEnded), (.lingering, .linger):
                .lingering
            case (.handshaking, .linger), (.open, .linger), (.readEnded, .linger),
                (.writeEnded, .linger), (.ended, .linger), (.upgrading, .linger):
                .lingering
            case (.connecting, .finish), (.handshaking, .finish), (.open, .finish),
                (.readEnded, .finish), (.writeEnded, .finish), (.ended, .finish),
                (.lingering, .finish), (.closed, .finish), (.upgrading, .finish):
                .closed
            case (.handshaking, .connected), (.open, .connected), (.readEnded, .connected),
                (.writeEnded, .connected), (.ended, .connected), (.lingering, .connected),
                (.closed, .connected), (.connecting, .established), (.open, .established),
                (.readEnded, .established), (.writeEnded, .established), (.ended, .established),
                (.lingering, .established), (.closed, .established), (.connecting, .peerEnded),
                (.handshaking, .peerEnded), (.closed, .peerEnded), (.connecting, .localEnded),
                (.handshaking, .localEnded), (.closed, .localEnded), (.connecting, .linger),
                (.closed, .linger), (.upgrading, .connected), (.upgrading, .peerEnded),
                (.upgrading, .localEnded), (.upgrading, .upgrade), (.connecting, .upgrade),
                (.handshaking, .upgrade), (.readEnded, .upgrade), (.writeEnded, .upgrade),
                (.ended, .upgrade), (.lingering, .upgrade), (.closed, .upgrade):
                throw IllegalTransition(phase: phase, event: event)
            }
    }

    /// Whether application data may be received.
    @inline(__always)
    var canRead: Bool { phase == .open || phase == .writeEnded }

    /// Whether application data may be sent.
    @inline(__always)
    var canWrite: Bool { phase == .open || phase == .readEnded }

    /// Whether data cannot flow yet.
    @inline(__always)
    var isPending: Bool {
        phase == .connecting || phase == .handshaking || phase == .upgrading
    }

    /// Whether the handshake is done and nothing has ended the connection as a whole.
    var isEstablished: Bool {
        switch phase {
        case .open, .readEnded, .writeEnded, .ended: true
        case .connecting, .handshaking, .upgrading, .lingering, .closed: false
        }
    }

    /// Whether nothing is delivered any more.
    var isOver: Bool { phase == .lingering || phase == .closed }
}
