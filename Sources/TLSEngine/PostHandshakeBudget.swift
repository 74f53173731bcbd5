// How many handshake messages a peer may send behind the handshake before it must send data again.
// Each costs a key derivation or an allocation and nothing of it reaches the application, so a peer
// that sends nothing else keeps a connection busy for free.

/// The post-handshake messages a peer may send between two pieces of application data; a pure value.
struct PostHandshakeBudget: Hashable, Sendable {
    /// The most messages without application data between them.
    let limit: UInt32
    /// Whether the peer has sent more.
    private(set) var isExceeded = false
    /// The messages of the connection when data last came.
    private var paid: UInt32 = 0

    init(limit: Int) {
        self.limit = UInt32(clamping: limit)
    }

    /// Notes the messages received so far, of the whole connection.
    @inline(__always)
    mutating func note(_ messages: UInt32) {
        if messages &- paid > limit { isExceeded = true }
    }

    /// Notes that data came behind so many messages.
    @inline(__always)
    mutating func renew(_ messages: UInt32) {
        note(messages)
        paid = messages
    }

    /// Begins to count, behind the messages of the handshake.
    mutating func begin(_ messages: UInt32) {
        paid = messages
    }
}
