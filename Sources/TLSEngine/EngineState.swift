// The engine's states.
//
//     idle ──start──▶ handshaking ──handshakeCompleted──▶ open ──▶ peerClosed ──▶ closed
//      │           │                                        └────▶ localClosed ──▶ closed
//      └───close───┴──▶ abandoned
//     any state ──fail──▶ failed
//
// Rule 1: every change of state happens in this file.
// Rule 2: this file does not know which side we are, and does nothing: the engine acts.
// Rule 3: what a peer can cause is never a trap. A second close_notify cannot be seen (OpenSSL
// reads nothing behind the first), and a close_notify during the handshake arrives as a failure.

/// The state of an engine; a pure value.
struct EngineState: Hashable, Sendable {
    enum Phase: UInt8, CaseIterable, Sendable {
        case idle, handshaking, open, peerClosed, localClosed, closed, abandoned, failed
    }

    enum Event: UInt8, CaseIterable, Sendable {
        case start, handshakeCompleted, closeNotifyReceived, closeNotifySent, fail
    }

    /// An event that has no meaning in a state.
    struct IllegalTransition: Error, Hashable {
        var phase: Phase
        var event: Event
    }

    private(set) var phase: Phase = .idle

    mutating func apply(_ event: Event) throws(IllegalTransition) {
        phase =
            switch (phase, event) {
            case (.idle, .start), (.handshaking, .start): .handshaking
            case (.handshaking, .handshakeCompleted): .open
            case (.open, .closeNotifyReceived), (.peerClosed, .closeNotifyReceived): .peerClosed
            case (.localClosed, .closeNotifyReceived), (.closed, .closeNotifyReceived): .closed
            case (.open, .closeNotifySent), (.localClosed, .closeNotifySent): .localClosed
            case (.peerClosed, .closeNotifySent), (.closed, .closeNotifySent): .closed
            // Before the handshake is done nothing can be said in good order: the engine just ends.
            case (.idle, .closeNotifySent), (.handshaking, .closeNotifySent),
                (.abandoned, .closeNotifySent):
                .abandoned
            case (.idle, .fail), (.handshaking, .fail), (.open, .fail), (.peerClosed, .fail),
                (.localClosed, .fail), (.closed, .fail), (.abandoned, .fail), (.failed, .fail):
                .failed
            case (.failed, .closeNotifySent): .failed
            case (.open, .start), (.peerClosed, .start), (.localClosed, .start), (.closed, .start),
                (.abandoned, .start), (.failed, .start), (.idle, .handshakeCompleted),
                (.open, .handshakeCompleted), (.peerClosed, .handshakeCompleted),
                (.localClosed, .handshakeCompleted), (.closed, .handshakeCompleted),
                (.abandoned, .handshakeCompleted), (.failed, .handshakeCompleted),
                (.idle, .closeNotifyReceived), (.handshaking, .closeNotifyReceived),
                (.abandoned, .closeNotifyReceived), (.failed, .closeNotifyReceived):
                throw IllegalTransition(phase: phase, event: event)
            }
    }

    /// Whether application data may be received.
    var canReceive: Bool {
        switch phase {
        case .open, .localClosed: true
        case .idle, .handshaking, .peerClosed, .closed, .abandoned, .failed: false
        }
    }

    /// Whether application data may be sent.
    var canSend: Bool {
        switch phase {
        case .open, .peerClosed: true
        case .idle, .handshaking, .localClosed, .closed, .abandoned, .failed: false
        }
    }
}
