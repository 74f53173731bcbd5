// The members of the draft that do not exist yet: the one list. It may only get shorter, and an entry
// whose member has a test, or that is no member of the draft, fails CompletenessTests.

/// A member of the draft without an implementation.
struct PendingMember: Hashable, Sendable {
    var definition: String
    var member: String
    var why: String

    init(_ definition: String, _ member: String, _ why: String) {
        self.definition = definition
        self.member = member
        self.why = why
    }
}

/// The most entries `pendingMembers` may have; lower it with each that goes.
let pendingLimit = 1

let pendingMembers: [PendingMember] = [
    PendingMember("SocketType", "udp", "there are no datagram sockets yet")
]
