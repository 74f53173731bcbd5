// Every state and every event: the table is the machine.

import Testing

@testable import TLSEngine

private typealias Phase = EngineState.Phase
private typealias Event = EngineState.Event

/// What an event leads to; nil where it has no meaning.
private let transitions: [Phase: [Event: Phase]] = [
    .idle: [.start: .handshaking, .closeNotifySent: .abandoned, .fail: .failed],
    .handshaking: [
        .start: .handshaking, .handshakeCompleted: .open, .closeNotifySent: .abandoned,
        .fail: .failed,
    ],
    .open: [.closeNotifyReceived: .peerClosed, .closeNotifySent: .localClosed, .fail: .failed],
    .peerClosed: [.closeNotifyReceived: .peerClosed, .closeNotifySent: .closed, .fail: .failed],
    .localClosed: [.closeNotifyReceived: .closed, .closeNotifySent: .localClosed, .fail: .failed],
    .closed: [.closeNotifyReceived: .closed, .closeNotifySent: .closed, .fail: .failed],
    .abandoned: [.closeNotifySent: .abandoned, .fail: .failed],
    .failed: [.closeNotifySent: .failed, .fail: .failed],
]

/// How each state is reached.
private let ways: [Phase: [Event]] = [
    .idle: [], .handshaking: [.start], .open: [.start, .handshakeCompleted],
    .peerClosed: [.start, .handshakeCompleted, .closeNotifyReceived],
    .localClosed: [.start, .handshakeCompleted, .closeNotifySent],
    .closed: [.start, .handshakeCompleted, .closeNotifySent, .closeNotifyReceived],
    .abandoned: [.start, .closeNotifySent], .failed: [.fail],
]

@Suite
struct EngineStateTests {
    @Test(
        "every event leads from every state where the table says, or is refused and changes nothing",
        arguments: EngineState.Phase.allCases,
        EngineState.Event.allCases
    )
    func transition(_ phase: EngineState.Phase, _ event: EngineState.Event) throws {
        var state = EngineState()
        for step in try #require(ways[phase]) { try state.apply(step) }
        try #require(state.phase == phase)
        if let next = transitions[phase]?[event] {
            try state.apply(event)
            #expect(state.phase == next)
        } else {
            #expect(throws: EngineState.IllegalTransition(phase: phase, event: event)) {
                try state.apply(event)
            }
            #expect(state.phase == phase)
        }
    }

    @Test("data flows in when open or closed here only, and out when open or closed there only")
    func directions() throws {
        var receiving: Set<EngineState.Phase> = []
        var sending: Set<EngineState.Phase> = []
        for (phase, way) in ways {
            var state = EngineState()
            for step in way { try state.apply(step) }
            if state.canReceive { receiving.insert(phase) }
            if state.canSend { sending.insert(phase) }
        }
        #expect(receiving == [.open, .localClosed])
        #expect(sending == [.open, .peerClosed])
    }

    @Test("no way leads out of a failure, and none back to the beginning")
    func ends() {
        #expect(Set(transitions[.failed]?.values.map(\.self) ?? []) == [.failed])
        #expect(transitions.values.allSatisfy { !$0.values.contains(.idle) })
    }
}
