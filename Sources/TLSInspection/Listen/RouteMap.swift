// Where a connection goes, by what its ClientHello asks for.

public import Sockets

/// Backends by servername and application protocol.
public struct RouteMap: Hashable, Sendable {
    /// What a hello must have to be sent somewhere.
    public enum Key: Hashable, Sendable, CustomStringConvertible {
        /// This servername.
        case name(String)
        /// A servername that ends so, for example `.b.test`.
        case under(String)
        /// No servername.
        case unnamed
        /// This protocol among those that are offered.
        case alpn(String)
        /// Anything.
        case any

        /// The key as it is written in a map.
        public var description: String {
            switch self {
            case .name(let name): name
            case .under(let end): "*" + end
            case .unnamed: "-"
            case .alpn(let name): "alpn:" + name
            case .any: "*"
            }
        }
    }

    /// One way.
    public struct Route: Hashable, Sendable {
        /// Which hellos go it.
        public var key: Key
        /// Where it leads.
        public var backend: SocketAddress
    }

    /// The ways, in order.
    public private(set) var routes: [Route] = []
    /// Where each key stands.
    private var places: [Key: Int] = [:]
    /// The ends of names, the longest in front.
    private var ends: [End] = []

    private struct End: Hashable {
        var end: String
        var place: Int
    }

    /// Reads a map.
    ///
    /// - Parameter text: `a.test=127.0.0.1:1,*.b.test=127.0.0.1:2,-=…,alpn:h2=…,*=…`; names are
    ///   compared without regard to case.
    /// - Throws: ``SocketError`` `.invalidOption` or `.invalidAddress` that tells what cannot be read.
    public init(parsing text: String) throws(SocketError) {
        for entry in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let mark = entry.firstIndex(of: "="), let key = Key(entry[..<mark]) else {
                throw SocketError(.invalidOption, detail: "\"\(entry)\" is not KEY=ADDR:PORT")
            }
            guard places.updateValue(routes.count, forKey: key) == nil else {
                throw SocketError(.invalidOption, detail: "\(key) stands there twice")
            }
            if case .under(let end) = key { ends.append(End(end: end, place: routes.count)) }
            let address = String(entry[entry.index(after: mark)...])
            routes.append(Route(key: key, backend: try SocketAddress(parsing: address)))
        }
        ends.sort { $0.end.utf8.count > $1.end.utf8.count }
    }

    /// The way of a hello; nil when there is none.
    ///
    /// Its exact name counts most, then the longest end of it, or that it has none, then a protocol
    /// (the map's first), then what takes anything.
    public func route(of hello: ClientHello) -> Route? { place(of: hello).map { routes[$0] } }

    /// Whether every hello has a way.
    public var takesAll: Bool { places[.any] != nil }

    /// The place of that way among the routes.
    func place(of hello: ClientHello) -> Int? {
        guard let name = hello.servername?.lowercased() else {
            return place(of: .unnamed) ?? place(of: hello.alpn)
        }
        return place(of: .name(name)) ?? ends.first { name.hasSuffix($0.end) }?.place
            ?? place(of: hello.alpn)
    }

    private func place(of key: Key) -> Int? { places[key] }

    private func place(of offered: [String]) -> Int? {
        offered.compactMap { place(of: .alpn($0)) }.min() ?? place(of: .any)
    }
}

extension RouteMap.Key {
    fileprivate init?(_ text: Substring) {
        switch text {
        case "": return nil
        case "*": self = .any
        case "-": self = .unnamed
        case _ where text.hasPrefix("alpn:"):
            guard text.count > 5 else { return nil }
            self = .alpn(String(text.dropFirst(5)))
        case _ where text.hasPrefix("*."):
            guard text.count > 2, !text.dropFirst().contains("*") else { return nil }
            self = .under(text.dropFirst().lowercased())
        default:
            guard !text.contains(where: { "*: ".contains($0) }) else { return nil }
            self = .name(text.lowercased())
        }
    }
}
