import Testing

@testable import Sockets

@Suite struct SocketStateTests {
    typealias Phase = SocketState.Phase
    typealias Event = SocketState.Event

    /// Where each event leads from each phase; what is missing is illegal.
    static let table: [Phase: [Event: Phase]] = [
        .connecting: [.connected: .handshaking, .finish: .closed],
        .handshaking: [.established: .open, .linger: .lingering, .finish: .closed],
        .open: [
            .peerEnded: .readEnded, .localEnded: .writeEnded, .linger: .lingering,
            .finish: .closed, .upgrade: .upgrading,
        ],
        .upgrading: [.established: .open, .linger: .lingering, .finish: .closed],
        .readEnded: [
            .peerEnded: .readEnded, .localEnded: .ended, .linger: .lingering, .finish: .closed,
        ],
        .writeEnded: [
            .peerEnded: .ended, .localEnded: .writeEnded, .linger: .lingering, .finish: .closed,
        ],
        .ended: [.peerEnded: .ended, .localEnded: .ended, .linger: .lingering, .finish: .closed],
        .lingering: [
            .peerEnded: .lingering, .localEnded: .lingering, .linger: .lingering,
            .finish: .closed,
        ],
        .closed: [.finish: .closed],
    ]

    @Test(
        "every event in every phase leads where the table says",
        arguments: Phase.allCases,
        Event.allCases
    )
    func transition(phase: Phase, event: Event) {
        var state = SocketState(phase)
        if let next = Self.table[phase]?[event] {
            #expect(throws: Never.self) { try state.apply(event) }
            #expect(state.phase == next)
        } else {
            #expect(throws: SocketState.IllegalTransition(phase: phase, event: event)) {
                try state.apply(event)
            }
            #expect(state.phase == phase)
        }
    }

    @Test(
        "a phase says what may be done in it",
        arguments: [
            (Phase.connecting, false, false, true, false),
            (.handshaking, false, false, true, false), (.upgrading, false, false, true, false),
            (.open, true, true, false, true), (.readEnded, false, true, false, true),
            (.writeEnded, true, false, false, true), (.ended, false, false, false, true),
            (.lingering, false, false, false, false), (.closed, false, false, false, false),
        ]
    )
    func abilities(
        phase: Phase,
        canRead: Bool,
        canWrite: Bool,
        isPending: Bool,
        isEstablished: Bool
    ) {
        let state = SocketState(phase)
        #expect(state.canRead == canRead)
        #expect(state.canWrite == canWrite)
        #expect(state.isPending == isPending)
        #expect(state.isEstablished == isEstablished)
    }
}
