// Where a listener's sessions are kept outside of it, and how its user sees what fails there.

import Synchronization

/// Keeps a listener's sessions: in memory, on another machine, wherever its processes find them.
///
/// What is kept is sealed and bound to its number, so a store can neither read a session nor give one for
/// another. Calls come at once from many tasks.
public protocol ServerSessionStore: Sendable {
    /// Gives a session, which stays: TLS 1.2 resumes one many times.
    ///
    /// - Parameter id: Its number, 1...32 bytes of a client's saying.
    /// - Returns: The sealed session; nil when there is none, or none any more.
    /// - Throws: What goes wrong: the handshake is a full one then, and the listener is told.
    func session(_ id: [UInt8]) async throws -> [UInt8]?
    /// Gives a session to one caller and forgets it: TLS 1.3 resumes one once.
    ///
    /// - Parameter id: Its number, 32 bytes of a client's saying.
    /// - Returns: The sealed session; nil when there is none, or none any more.
    /// - Throws: What goes wrong: the handshake is a full one then, and the listener is told.
    func takeSession(_ id: [UInt8]) async throws -> [UInt8]?
    /// Keeps a session.
    ///
    /// - Parameters:
    ///   - session: The sealed session, up to 64 KiB.
    ///   - id: Its number, 32 bytes.
    ///   - end: When it is of no use any more.
    /// - Throws: What goes wrong, which the listener is told.
    func keepSession(_ session: [UInt8], _ id: [UInt8], until end: UnixTime) async throws
    /// Forgets a session, if it is there.
    ///
    /// - Parameter id: Its number.
    /// - Throws: What goes wrong, which the listener is told.
    func forgetSession(_ id: [UInt8]) async throws
}

/// A store of sessions, and how a listener uses it.
///
/// ```swift
/// options.sessionStore = ServerSessionKeeping(store) { failure in log.warning("\(failure)") }
/// options.ticketKeys = try TicketKeySource.file("/run/secrets/tickets")
/// ```
///
/// Clients get numbers instead of tickets then. A handshake that names one waits for the store, up to
/// ``timeout``; what the store fails to give costs a full handshake. New sessions are kept behind the
/// handshake. They are sealed with ``TLSSocketListenerInit/ticketKeys``; without any with a key of this
/// process, which no other one has.
public struct ServerSessionKeeping: Sendable {
    /// How long a handshake, or a change, waits for the store; one second by default.
    public var timeout: Duration = .seconds(1)
    /// Changes on their way to the store at once, beyond which they are dropped; 1,024 by default.
    public var pendingChanges = 1024

    let closures: Closures

    /// What cannot be compared.
    final class Closures: Sendable {
        let store: any ServerSessionStore
        let onFailure: (@Sendable (ServerSessionFailure) -> Void)?
        let sleep: @Sendable (Duration) async throws -> Void
        let pending = Mutex(0)

        init(
            _ store: any ServerSessionStore,
            _ onFailure: (@Sendable (ServerSessionFailure) -> Void)?,
            _ sleep: @escaping @Sendable (Duration) async throws -> Void
        ) {
            self.store = store
            self.onFailure = onFailure
            self.sleep = sleep
        }
    }

    /// Takes a store.
    ///
    /// - Parameters:
    ///   - store: Where sessions are kept.
    ///   - onFailure: Told of what fails there; must not block.
    public init(
        _ store: any ServerSessionStore,
        onFailure: (@Sendable (ServerSessionFailure) -> Void)? = nil
    ) {
        self.init(store, onFailure, sleep: StapleClock.system.sleep)
    }

    /// The same with a clock of one's own.
    package init(
        _ store: any ServerSessionStore,
        _ onFailure: (@Sendable (ServerSessionFailure) -> Void)?,
        sleep: @escaping @Sendable (Duration) async throws -> Void
    ) {
        closures = Closures(store, onFailure, sleep)
    }
}

extension ServerSessionKeeping: Hashable {
    /// Compares the store itself, not what it does.
    public static func == (left: ServerSessionKeeping, right: ServerSessionKeeping) -> Bool {
        left.closures === right.closures && left.timeout == right.timeout
            && left.pendingChanges == right.pendingChanges
    }

    /// Hashes what makes it the same.
    public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(closures)) }
}

/// What failed at a store of sessions; the connection goes on without.
public struct ServerSessionFailure: Error, Sendable {
    /// What the store was asked for.
    public enum Operation: String, CaseIterable, Hashable, Sendable {
        /// A session that stays, of TLS 1.2.
        case session
        /// A session that goes, of TLS 1.3.
        case take
        /// To keep one.
        case keep
        /// To forget one.
        case forget
    }

    /// What the store was asked for.
    public var operation: Operation
    /// What it threw; ``SocketError`` `.responseTimedOut` when it took too long, `.limitExceeded` when it
    /// has too much to do, ``TLSError`` `.invalidSession` when it gave something else.
    public var reason: any Error
}

extension ServerSessionFailure: CustomStringConvertible {
    /// One line.
    public var description: String { "the session store failed to \(operation): \(reason)" }
}

/// Keeps sessions in the memory of this process, so that its listeners share them; for a fleet, a model.
public final class MemorySessionStore: ServerSessionStore {
    private struct Entry {
        let session: [UInt8]
        let end: UnixTime
        /// Its place in the line.
        let number: UInt64
    }

    private struct State {
        var entries: [[UInt8]: Entry] = [:]
        /// Those that were kept, oldest first; some are not there any more.
        var line: [(id: [UInt8], number: UInt64)] = []
        var lastNumber: UInt64 = 0
    }

    private let limit: Int
    private let clock: @Sendable () -> UnixTime
    private let state = Mutex(State())

    /// Makes an empty store.
    ///
    /// - Parameter limit: Sessions it keeps at most; the oldest goes.
    public convenience init(limit: Int = 10_000) {
        self.init(limit: limit, clock: StapleClock.system.now)
    }

    /// The same with a clock of one's own.
    package init(limit: Int, clock: @escaping @Sendable () -> UnixTime) {
        self.limit = max(1, limit)
        self.clock = clock
    }

    /// Sessions that are there.
    public var count: Int { state.withLock { $0.entries.count } }

    /// Gives a session, which stays.
    public func session(_ id: [UInt8]) -> [UInt8]? {
        let now = clock()
        return state.withLock { s in
            guard let entry = s.entries[id] else { return nil }
            guard entry.end > now else {
                s.entries[id] = nil
                return nil
            }
            return entry.session
        }
    }

    /// Gives a session and forgets it.
    public func takeSession(_ id: [UInt8]) -> [UInt8]? {
        let now = clock()
        return state.withLock { s in
            guard let entry = s.entries.removeValue(forKey: id), entry.end > now else { return nil }
            return entry.session
        }
    }

    /// Keeps a session.
    public func keepSession(_ session: [UInt8], _ id: [UInt8], until end: UnixTime) {
        state.withLock { s in
            s.lastNumber += 1
            s.entries[id] = Entry(session: session, end: end, number: s.lastNumber)
            s.line.append((id, s.lastNumber))
            guard s.entries.count > limit || s.line.count > 2 * limit else { return }
            // A tenth at once, so that the line is not moved for each.
            let surplus = max(0, s.entries.count - (limit - limit / 10))
            var dropped = 0
            for (id, number) in s.line where s.entries[id]?.number == number {
                guard dropped < surplus else { break }
                s.entries[id] = nil
                dropped += 1
            }
            s.line.removeAll { s.entries[$0.id]?.number != $0.number }
        }
    }

    /// Forgets a session.
    public func forgetSession(_ id: [UInt8]) {
        state.withLock { s in _ = s.entries.removeValue(forKey: id) }
    }
}
