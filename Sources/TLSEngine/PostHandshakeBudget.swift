// How many handshake messages a peer may send behind the handshake. Each costs a key derivation or an
// allocation and nothing of it reaches the application, so a peer that sends little else keeps a
// connection busy for free.
//
// A bucket: it holds as many messages as the limit says, and is full at first. Each message takes one
// out. Time puts them back, the whole limit in a minute, and so does application data, one for each
// `dataPerMessage` bytes: who carries much may change keys often, and a byte between two messages buys
// nothing. Time is told by the owner; without it only data counts.

/// What a peer may still send of post-handshake messages; a pure value.
struct PostHandshakeBudget: Hashable, Sendable {
    /// The most messages at once, and in a minute.
    let limit: UInt32
    /// Bytes of application data that pay for one message.
    let dataPerMessage: Int
    /// Whether the peer has sent more.
    private(set) var isExceeded = false
    /// Messages that are not paid for yet.
    private(set) var debt: UInt32 = 0
    /// The messages of the connection that were looked at.
    private var counted: UInt32 = 0
    /// Bytes of data that have not made up a message's price yet.
    private var change = 0
    /// Until when time has been credited, in nanoseconds; nil while nothing is owed.
    private var credited: UInt64?
    /// Messages that were asked for and have not come.
    private var expected: UInt32 = 0

    init(limit: Int, dataPerMessage: Int) {
        self.limit = UInt32(clamping: limit)
        self.dataPerMessage = max(1, dataPerMessage)
    }

    init(_ limits: TLSLimits) {
        self.init(
            limit: limits.postHandshakeMessages,
            dataPerMessage: limits.dataPerPostHandshakeMessage
        )
    }

    /// Begins to count, behind the messages of the handshake.
    mutating func begin(_ messages: UInt32) {
        counted = messages
    }

    /// Notes the messages received so far, of the whole connection.
    @inline(__always)
    mutating func note(_ messages: UInt32) {
        if messages != counted { spend(messages) }
    }

    private mutating func spend(_ messages: UInt32) {
        let fresh = messages &- counted
        let free = min(expected, fresh)
        expected -= free
        let (sum, isOver) = debt.addingReportingOverflow(fresh - free)
        debt = isOver ? .max : sum
        counted = messages
        if debt > limit { isExceeded = true }
    }

    /// Notes that the peer was asked for a message.
    mutating func expect() {
        expected = max(expected, expected &+ 1)
    }

    /// Notes application data.
    @inline(__always)
    mutating func credit(bytes: Int) {
        if debt > 0 { pay(bytes: bytes) }
    }

    private mutating func pay(bytes: Int) {
        change += bytes
        guard change >= dataPerMessage else { return }
        repay(UInt64(change / dataPerMessage))
        change %= dataPerMessage
    }

    /// Notes the time, in nanoseconds of any clock that does not go back.
    mutating func credit(now: UInt64) {
        guard debt > 0 else { return }
        guard let since = credited, since <= now else {
            credited = now
            return
        }
        let messages = (now - since).multipliedFullWidth(by: UInt64(limit))
        guard messages.high < PostHandshakeBudget.minute else { return repay(.max) }
        let (count, rest) = PostHandshakeBudget.minute.dividingFullWidth(messages)
        guard count > 0 else { return }
        // What does not make up a message yet stays to be credited.
        credited = now - rest / UInt64(max(1, limit))
        repay(count)
    }

    private mutating func repay(_ count: UInt64) {
        debt -= UInt32(clamping: min(UInt64(debt), count))
        guard debt == 0 else { return }
        change = 0
        credited = nil
    }

    private static let minute: UInt64 = 60_000_000_000
}
