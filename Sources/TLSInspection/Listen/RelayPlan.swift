// What all relays of a watch have in common: where hellos go, what backends are told, and the limits.

import SocketCore
import Sockets
import Synchronization

/// A way to a backend.
struct RelayWay: Sendable {
    /// How it is shown.
    let name: String
    /// Where it leads.
    let endpoint: Endpoint
    /// Whether a server of our own is there, which is told nothing and counted apart.
    var isPage = false

    init(_ address: SocketAddress) throws(SocketError) {
        name = address.description
        do throws(AddressParseError) {
            endpoint = try AddressParser.parse(address.description, defaultPort: address.port)
        } catch {
            throw SocketError(.invalidAddress, detail: error.description)
        }
    }

    init(page address: SocketAddress) throws(SocketError) {
        let way = try RelayWay(address)
        (name, endpoint, isPage) = ("page", way.endpoint, true)
    }
}

/// What relays do, and whom they tell.
struct RelayPlan: Sendable {
    /// How long a connection may take to say goodbye, and the bytes that are read meanwhile.
    static let partingTime = Duration.seconds(5)
    static let partingBytes = 1 << 20
    /// The pause until a descriptor is asked for again where there was none.
    static let exhaustionPause = Duration.milliseconds(50)
    /// Bytes that one connection moves until others on its loop have their turn.
    static let burstMax = 1 << 20

    /// Which hellos go where; nil sends none.
    let routes: RouteMap?
    /// The ways of the routes, in the map's order.
    let ways: [RelayWay]
    /// Where those go that the map sends nowhere.
    let page: RelayWay?
    let proxy: WatchOptions.ProxyForm?
    let timeout: Duration
    let idle: Duration?
    let limit: Int
    let start: UnixTime
    let startInstant: LoopInstant
    /// Told of each connection, on its loop's thread.
    let tell: @Sendable (Arrival) -> Void
    /// Told when a connection is over, on its loop's thread.
    let over: @Sendable () -> Void

    init(
        _ options: WatchOptions,
        start: UnixTime,
        tell: @escaping @Sendable (Arrival) -> Void,
        over: @escaping @Sendable () -> Void
    ) throws(SocketError) {
        routes = options.routes
        var ways: [RelayWay] = []
        for route in options.routes?.routes ?? [] { ways.append(try RelayWay(route.backend)) }
        self.ways = ways
        page = try options.page.map { address throws(SocketError) in try RelayWay(page: address) }
        (proxy, timeout, idle) = (options.proxy, options.timeout, options.idle)
        limit = options.limit
        self.start = start
        startInstant = EventLoop.readClock()
        (self.tell, self.over) = (tell, over)
    }

    /// Where a hello goes; nil for nowhere.
    func way(of hello: ClientHello) -> (key: RouteMap.Key?, way: RelayWay)? {
        if let routes, let place = routes.place(of: hello) {
            return (routes.routes[place].key, ways[place])
        }
        return page.map { (nil, $0) }
    }

    /// What a backend is told in front of a connection.
    ///
    /// - Parameters:
    ///   - hello: What the client said.
    ///   - remote: Who it is.
    ///   - local: Where it connected to; asked for only when it is told.
    /// - Returns: The header; empty without one.
    func preface(
        _ hello: ClientHello,
        from remote: NetworkAddress,
        _ local: () -> NetworkAddress?
    ) -> [UInt8] {
        guard let proxy else { return [] }
        var header = ProxyHeader(
            proxy == .v1 ? .v1 : .v2,
            source: SocketAddress(remote),
            destination: local().map { SocketAddress($0) }
        )
        // What was offered is told only where there is no choice: the attribute is one protocol.
        if hello.alpn.count == 1, let alpn = hello.alpn.first {
            header.attributes.append(.init(ProxyHeader.Attribute.alpn, Array(alpn.utf8)))
        }
        if let name = hello.servername {
            header.attributes.append(.init(ProxyHeader.Attribute.authority, Array(name.utf8)))
        }
        return header.bytes
    }
}

extension NetworkAddress {
    /// The address, where IPv4 came through a socket of both as what it is.
    var unmapped: NetworkAddress {
        guard case .ip(.v6(let ip), let port) = self, let short = ip.mappedIPv4 else { return self }
        return .ip(.v4(short), port: port)
    }
}
