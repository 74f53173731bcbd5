// Configurations by what they are made of: making one reads keys and builds the trust store, and those
// who want one come one by one.

import Synchronization

/// Configurations, kept by what they are made of.
final class ContextCache<Key: Hashable & Sendable>: Sendable {
    private struct Entries {
        var contexts: [Key: TLSContext] = [:]
        var order: [Key] = []
    }

    private let limit: Int
    private let entries = Mutex(Entries())

    /// Makes an empty cache that keeps so many configurations at most; the oldest goes.
    init(limit: Int) { self.limit = limit }

    /// The configuration for a key; made, outside the lock, when it is not here.
    func context(
        for key: Key,
        _ make: () throws(SocketError) -> TLSContext
    ) throws(SocketError) -> TLSContext {
        if let known = entries.withLock({ $0.contexts[key] }) { return known }
        let made = try make()
        entries.withLock { entries in
            if entries.contexts.updateValue(made, forKey: key) == nil { entries.order.append(key) }
            if entries.order.count > limit {
                entries.contexts[entries.order.removeFirst()] = nil
            }
        }
        return made
    }
}
