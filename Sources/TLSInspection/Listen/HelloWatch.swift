// Listens, reads each connection's ClientHello and nothing more of TLS, tells about it, and carries the
// untouched bytes to a backend if there is a map. The work is done by relays (`Relay`) on event loops of
// the watch's own; here is what they are told, and what is said of all of them.

import SocketCore
public import Sockets
import Synchronization

/// What to listen on, and what to do with connections.
public struct WatchOptions: Sendable {
    /// The forms of the PROXY protocol.
    public enum ProxyForm: String, CaseIterable, Hashable, Sendable { case v1, v2 }

    /// Where to listen.
    public var local: SocketAddress
    /// Where connections go; nil answers each with an alert.
    public var routes: RouteMap?
    /// What backends are told in front of a connection about the client; nil is nothing.
    public var proxy: ProxyForm?
    /// Time for a hello, and for connecting to a backend.
    public var timeout: Duration = .seconds(10)
    /// Ends a connection on which nothing moves for so long; nil never does.
    public var idle: Duration? = .seconds(3600)
    /// The most bytes of records that a hello may take.
    public var limit = 64 << 10
    /// Connections at once; beyond it they wait in the kernel.
    public var connections = 10_000
    /// Threads that move bytes.
    public var threads = 1
    /// Where a server of our own answers hellos that the map sends nowhere; nil answers with an alert.
    public var page: SocketAddress?

    /// Connections that wait in the kernel.
    static let backlog = 4096

    /// Makes options.
    public init(local: SocketAddress) { self.local = local }
}

/// Watches what clients say first.
public final class HelloWatch: Sendable {
    /// Descriptors that are not for connections.
    private static let descriptorReserve = 64

    private let options: WatchOptions
    private let group: EventLoopGroup
    private let floors: [RelayFloor]
    private let door: RelayDoor
    private let unixAddress: NetworkAddress?
    private let tally: Mutex<HelloTally>
    private let start: UnixTime

    /// Where it listens.
    public let localAddress: SocketAddress
    /// How many connections there may be at once: the option's, or fewer where the process may not have
    /// so many descriptors.
    public let capacity: Int

    /// Begins to listen.
    ///
    /// - Parameters:
    ///   - options: Where, and what to do.
    ///   - now: What time it is.
    /// - Throws: ``SocketError`` when it cannot listen there.
    public init(_ options: WatchOptions, now: UnixTime) throws(SocketError) {
        self.options = options
        start = now
        guard case .address(let address) = try RelayWay(options.local).endpoint else {
            throw SocketError(.invalidAddress, detail: "a name is no place to listen")
        }
        // A client and a backend each; the page has an end of its own.
        let each = options.page == nil ? 2 : 3
        let room = (DescriptorLimit.raise() - HelloWatch.descriptorReserve) / each
        capacity = max(1, min(options.connections, room))
        let descriptor: Descriptor
        do throws(SystemCallError) {
            descriptor = try StreamSocket.listen(
                on: address,
                backlog: WatchOptions.backlog,
                acceptsIPv4: address.ip == .v6(.any),
                // Accepted sockets inherit it.
                options: SocketOptions(noDelay: true),
                removesStaleUnixPath: true
            )
        } catch {
            throw .system(error, address: options.local)
        }
        let bound = StreamSocket.localAddress(descriptor.rawValue) ?? address
        localAddress = SocketAddress(bound)
        if case .unix = bound { unixAddress = bound } else { unixAddress = nil }
        group = EventLoopGroup(loopCount: max(1, options.threads))
        floors = group.loops.map { RelayFloor($0) }
        door = RelayDoor(descriptor, floors, limit: capacity)
        tally = Mutex(HelloTally(local: localAddress.description))
    }

    /// What came so far.
    public var summary: ListenSummary { tally.withLock { $0.finished } }

    /// Serves until the task is cancelled; then every connection is broken off.
    ///
    /// Call it once.
    ///
    /// - Parameter tell: Is given each connection when its beginning is known and, if it is sent
    ///   somewhere, the backend has taken it or not. It is called on the thread that moves bytes: it
    ///   must not block, and should leave ``Arrival/record`` to others.
    /// - Throws: ``SocketError`` when the listening socket fails.
    public func run(tell: @escaping @Sendable (Arrival) -> Void) async throws(SocketError) {
        let door = door
        let plan = try RelayPlan(options, start: start) { [self] arrival in
            tally.withLock { $0.note(arrival) }
            tell(arrival)
        } over: {
            door.leave()
        }
        let (failures, feed) = AsyncStream.makeStream(of: Errno.self)
        door.open(plan) { feed.yield($0) }
        // Ends when the task is cancelled, too.
        var failure: Errno?
        for await errno in failures {
            failure = errno
            break
        }
        await door.close()
        for floor in floors { await floor.close() }
        if let unixAddress { try? StreamSocket.removeUnixPath(of: unixAddress) }
        await group.shutdown()
        if let failure { throw .system(failure, "accept", address: localAddress) }
    }
}
