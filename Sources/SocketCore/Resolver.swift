// Names to addresses, off the loops and without holding up a cancelled task.
//
// Theory of operation
// - getaddrinfo blocks, for half a minute if the name servers are away. It runs on threads of its
//   own, at most `threadLimit` of them, started when needed and kept. Requests wait in a queue of
//   at most `queueLimit`; past that a request fails at once, so a dead name server cannot eat the
//   memory.
// - A request is answered once, by whoever is first: the thread or the cancellation. A cancelled
//   request leaves the queue; one that a thread already works on is forgotten, and the thread's
//   answer dropped.
// - "localhost" never asks the network (RFC 6761 §6.3), and an IP address is its own answer.

import Synchronization

/// Resolves names on the process's resolver threads.
package enum Resolver {
    private static let pool = ResolverPool()

    /// Resolves a name to its addresses.
    ///
    /// - Parameters:
    ///   - name: A host name (see ``HostName``), or an IP address, which is its own answer.
    ///   - family: The addresses wanted.
    /// - Returns: At least one address, without duplicates, in getaddrinfo's order (RFC 6724).
    /// - Throws: ``ResolutionError``; `.cancelled` as soon as the task is cancelled.
    package static func resolve(
        _ name: String,
        family: AddressFamily = .any
    ) async throws(ResolutionError) -> [IPAddress] {
        try await pool.resolve(name, family: family)
    }
}

/// A bounded set of threads that look names up.
package final class ResolverPool: Sendable {
    /// Looks a name up, blocking; a nil name asks for the loopback addresses.
    package typealias Lookup =
        @Sendable (_ name: String?, _ family: AddressFamily) throws(ResolutionError) -> [IPAddress]

    private struct State {
        var waiting: [ResolverRequest] = []
        var threads = 0
        var idleThreads = 0
        var isClosed = false
    }

    private let lookup: Lookup
    private let threadLimit: Int
    private let queueLimit: Int
    private let state = Mutex(State())
    private let signal: Descriptor

    /// Makes a pool; no thread runs before the first request.
    ///
    /// - Parameters:
    ///   - threadLimit: Look-ups at once, at least 1.
    ///   - queueLimit: Requests that may wait for a thread, at least 1.
    ///   - lookup: What a thread does for a request; tests put their own here.
    /// - Precondition: A descriptor is left for the pool's eventfd.
    package init(
        threadLimit: Int = 8,
        queueLimit: Int = 1024,
        lookup: @escaping Lookup = { (name, family) throws(ResolutionError) in
            try Syscalls.lookUp(name, family: family)
        }
    ) {
        self.threadLimit = max(1, threadLimit)
        self.queueLimit = max(1, queueLimit)
        self.lookup = lookup
        do {
            signal = try Syscalls.makeSemaphore()
        } catch {
            preconditionFailure("the resolver cannot start: \(error)")
        }
    }

    /// Resolves a name; see ``Resolver/resolve(_:family:)``.
    package func resolve(
        _ name: String,
        family: AddressFamily = .any
    ) async throws(ResolutionError) -> [IPAddress] {
        if let ip = IPAddress(name) {
            guard ip.belongs(to: family) else {
                throw ResolutionError(.noAddress, detail: "the address is of the other family")
            }
            return [ip]
        }
        guard let host = HostName(name) else {
            throw ResolutionError(.invalidName, detail: "\"\(name)\" is not a host name")
        }
        let request = ResolverRequest(host: host, family: family)
        let answer = await withTaskCancellationHandler {
            // Resumed once: by `answer`, whoever calls it first.
            unsafe await withUnsafeContinuation { continuation in
                unsafe request.wait(continuation)
                submit(request)
            }
        } onCancel: {
            forget(request)
        }
        return try answer.get()
    }

    /// Ends idle threads once the queue is empty.
    ///
    /// For pools of tests; later requests fail.
    package func close() {
        let threads = state.withLock { state in
            state.isClosed = true
            return state.threads
        }
        for _ in 0..<threads {
            Syscalls.signal(signal.rawValue)
        }
    }

    private func submit(_ request: ResolverRequest) {
        enum Verdict {
            case signalThread, startThread, refuse
        }
        let verdict = state.withLock { state -> Verdict in
            guard !state.isClosed, state.waiting.count < queueLimit + state.idleThreads else {
                return .refuse
            }
            // A request cancelled before it got here is answered already.
            guard !request.isAnswered else {
                return .signalThread
            }
            state.waiting.append(request)
            guard state.waiting.count > state.idleThreads, state.threads < threadLimit else {
                return .signalThread
            }
            state.threads += 1
            state.idleThreads += 1
            return .startThread
        }
        switch verdict {
        case .signalThread:
            Syscalls.signal(signal.rawValue)
        case .startThread:
            Syscalls.signal(signal.rawValue)
            startThread()
        case .refuse:
            let detail = "\(queueLimit) look-ups are waiting already"
            request.answer(.failure(ResolutionError(.queueFull, detail: detail)))
        }
    }

    private func forget(_ request: ResolverRequest) {
        request.answer(.failure(ResolutionError(.cancelled, detail: "the look-up was cancelled")))
        state.withLock { state in
            state.waiting.removeAll { $0 === request }
        }
    }

    private func startThread() {
        do throws(SystemCallError) {
            try Syscalls.startThread(named: "sockets-resolver") { [self] in
                work()
            }
        } catch {
            // Without any thread nobody would ever answer those who wait.
            let orphans = state.withLock { state -> [ResolverRequest] in
                state.threads -= 1
                state.idleThreads -= 1
                guard state.threads == 0 else {
                    return []
                }
                defer { state.waiting = [] }
                return state.waiting
            }
            for orphan in orphans {
                orphan.answer(.failure(ResolutionError(.noMemory, detail: error.description)))
            }
        }
    }

    /// A thread's life: one count of the semaphore, at most one request.
    private func work() {
        while true {
            Syscalls.waitForSignal(signal.rawValue)
            let (request, isDone) = state.withLock { state -> (ResolverRequest?, Bool) in
                guard !state.waiting.isEmpty else {
                    if state.isClosed {
                        state.threads -= 1
                        state.idleThreads -= 1
                    }
                    return (nil, state.isClosed)
                }
                state.idleThreads -= 1
                return (state.waiting.removeFirst(), false)
            }
            guard !isDone else {
                return
            }
            guard let request else {
                continue  // its request was cancelled
            }
            request.answer(result(for: request))
            state.withLock { $0.idleThreads += 1 }
        }
    }

    private func result(for request: ResolverRequest) -> Result<[IPAddress], ResolutionError> {
        Result { () throws(ResolutionError) in
            if request.host.isLocalhost {
                return try loopback(request.family)
            }
            let found = try lookup(request.host.description, request.family)
            return try Self.distinct(found, family: request.family)
        }
    }

    /// The loopback addresses in the system's order, or in ours if it gives none.
    private func loopback(_ family: AddressFamily) throws(ResolutionError) -> [IPAddress] {
        do throws(ResolutionError) {
            return try Self.distinct(try lookup(nil, family), family: family)
        } catch {
            return try Self.distinct([.v6(.loopback), .v4(.loopback)], family: family)
        }
    }

    private static func distinct(
        _ found: [IPAddress],
        family: AddressFamily
    ) throws(ResolutionError) -> [IPAddress] {
        var seen: Set<IPAddress> = []
        let distinct = found.filter { $0.belongs(to: family) && seen.insert($0).inserted }
        guard !distinct.isEmpty else {
            throw ResolutionError(.noAddress, detail: "the name has no address of this family")
        }
        return distinct
    }
}

/// One look-up and the task that waits for it.
private final class ResolverRequest: Sendable {
    typealias Answer = Result<[IPAddress], ResolutionError>

    @safe
    private struct State {
        var continuation: UnsafeContinuation<Answer, Never>?
        var answer: Answer?
    }

    let host: HostName
    let family: AddressFamily
    private let state = Mutex(State())

    init(host: HostName, family: AddressFamily) {
        self.host = host
        self.family = family
    }

    var isAnswered: Bool {
        state.withLock { $0.answer != nil }
    }

    /// Hands in the waiting task, at most once; an answer that is there already resumes it.
    func wait(_ continuation: UnsafeContinuation<Answer, Never>) {
        let answer = state.withLock { state -> Answer? in
            if state.answer == nil {
                unsafe state.continuation = continuation
            }
            return state.answer
        }
        if let answer {
            unsafe continuation.resume(returning: answer)
        }
    }

    /// Answers; the first answer counts.
    func answer(_ answer: Answer) {
        let continuation = unsafe state.withLock { state -> UnsafeContinuation<Answer, Never>? in
            guard state.answer == nil else {
                return nil
            }
            state.answer = answer
            defer { unsafe state.continuation = nil }
            return unsafe state.continuation
        }
        unsafe continuation?.resume(returning: answer)
    }
}

extension IPAddress {
    fileprivate func belongs(to family: AddressFamily) -> Bool {
        switch (self, family) {
        case (_, .any), (.v4, .ipv4), (.v6, .ipv6): true
        case (.v4, .ipv6), (.v6, .ipv4): false
        }
    }
}
