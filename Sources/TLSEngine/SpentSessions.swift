// The sessions of TLS 1.3 that this process has offered. One that is offered again is recognised by
// whoever saw the first (RFC 8446 §C.4), so it is not.

import Synchronization

/// Which sessions were offered.
enum SpentSessions {
    /// The most that are remembered, 640 KiB of them; the oldest go first.
    static let limit = 16_384

    private struct Memory {
        var known: Set<Digest> = []
        var order: [Digest] = []
        /// The place of the oldest, once the order is full.
        var next = 0
    }

    private struct Digest: Hashable {
        let high: UInt64
        let low: UInt64

        init(_ bytes: [UInt8]) {
            func word(_ start: Int) -> UInt64 {
                bytes[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) }
            }
            high = word(0)
            low = word(8)
        }
    }

    private static let memory = Mutex(Memory())

    /// Notes that a session is offered.
    ///
    /// - Parameter ticket: What tells it apart.
    /// - Returns: Whether it was not offered before.
    static func spend(_ ticket: [UInt8]) -> Bool {
        let digest = Digest(OpenSSLLibrary.sha256(ticket))
        return memory.withLock { memory in
            guard memory.known.insert(digest).inserted else { return false }
            guard memory.order.count == limit else {
                memory.order.append(digest)
                return true
            }
            memory.known.remove(memory.order[memory.next])
            memory.order[memory.next] = digest
            memory.next = (memory.next + 1) % limit
            return true
        }
    }
}
