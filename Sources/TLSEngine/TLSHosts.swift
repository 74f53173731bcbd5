// Virtual hosts of a server: a context for each servername. The choice is made from the ClientHello,
// before anything of the connection is settled, so everything of the chosen context applies.
//
// Rule 1: a name is matched exactly, then by the wildcard of its parent domain, which stands for one
// label (RFC 9525 §6.3).
// Rule 2: a client that names no host, or one that is not here, gets the server's own context, unless
// that asks less of clients than one of the hosts does: leaving the name out must not open a door
// that the name would have closed. It is refused then.

/// Contexts by servername (RFC 6066 §3).
public struct TLSHosts: Sendable {
    /// What becomes of a client that names no host, or one that is not here.
    public enum Fallback: String, CaseIterable, Hashable, Sendable {
        /// It gets the server's own context, unless one of the hosts asks for client certificates, or
        /// for a newer version, where that does not; then it is refused.
        case unlessLaxer
        /// It gets the server's own context in any case. Applications then check that the host a
        /// request is for is the servername of its connection.
        case always
        /// It is refused, by the alert unrecognized_name.
        case never
    }

    /// What becomes of a client that names no host, or one that is not here.
    public let fallback: Fallback
    private var contexts: [String: TLSContext] = [:]

    /// Makes an empty table.
    ///
    /// - Parameter fallback: What becomes of a client that names no host, or one that is not here.
    public init(fallback: Fallback = .unlessLaxer) {
        self.fallback = fallback
    }

    /// Adds a host.
    ///
    /// - Parameters:
    ///   - name: A DNS name in A-labels, or `*.` and one.
    ///   - context: What answers; a server's. Its own hosts are not looked at.
    /// - Throws: ``TLSError`` `.invalidServername` for what is no such name, or stands in the table,
    ///   `.invalidPolicy` for a client's context.
    public mutating func add(_ name: String, _ context: TLSContext) throws(TLSError) {
        let isWildcard = name.hasPrefix("*.")
        let base = try ServerName(isWildcard ? String(name.dropFirst(2)) : name)
        guard base.kind == .dns else {
            throw TLSError(
                .invalidServername,
                detail: "\(name) is an IP address, which is never sent as servername"
            )
        }
        guard context.role == .server else {
            throw TLSError(.invalidPolicy, detail: "the context of \(name) is a client's")
        }
        let key = (isWildcard ? "*." : "") + base.text.lowercased()
        guard contexts[key] == nil else {
            throw TLSError(.invalidServername, detail: "\(name) stands twice")
        }
        contexts[key] = context
    }

    /// The contexts, by the first of their names, each once.
    package var all: [TLSContext] {
        var seen: Set<ObjectIdentifier> = []
        return contexts.sorted { $0.key < $1.key }.map(\.value)
            .filter { seen.insert(ObjectIdentifier($0)).inserted }
    }

    /// The contexts that share a name with one of another table, each once, and that one.
    func pairs(with other: TLSHosts?) -> [(own: TLSContext, other: TLSContext)] {
        var seen: Set<ObjectIdentifier> = []
        return contexts.sorted { $0.key < $1.key }.compactMap { name, own in
            guard let known = other?.contexts[name], seen.insert(ObjectIdentifier(own)).inserted
            else { return nil }
            return (own, known)
        }
    }

    /// The names, in no order.
    public var names: [String] { Array(contexts.keys) }

    /// The context of a host; nil when it is not here.
    public func context(for servername: String) -> TLSContext? {
        guard let name = try? ServerName(servername), name.kind == .dns else { return nil }
        let key = name.text.lowercased()
        if let exact = contexts[key] { return exact }
        guard let dot = key.firstIndex(of: ".") else { return nil }
        return contexts["*" + key[dot...]]
    }

    /// Whether a client that names none of the hosts may have a context instead.
    func admitsStrangers(to own: TLSContext) -> Bool {
        switch fallback {
        case .always: return true
        case .never: return false
        case .unlessLaxer:
            return !contexts.values.contains { host in
                host.policy.clientAuthentication.rank > own.policy.clientAuthentication.rank
                    || host.versions.lowerBound > own.versions.lowerBound
            }
        }
    }

    /// Why a client is refused that names none of the hosts.
    func refusal(of servername: String?) -> TLSError {
        guard let servername else {
            return TLSError(
                .unknownServername,
                phase: .clientHello,
                detail: "the client sent no servername",
                hint: "Let the fallback of the hosts admit such clients, if they are to come in"
            )
        }
        // Only a name is repeated: what else came may hold anything.
        let name = (try? ServerName(servername))?.text ?? "a name that no host can have"
        return TLSError(
            .unknownServername,
            phase: .clientHello,
            detail: name,
            hint: "Add the host, or let the fallback of the hosts admit such clients"
        )
    }
}

extension ClientAuthentication {
    /// How much it asks of a client.
    fileprivate var rank: Int {
        switch self {
        case .none: 0
        case .request: 1
        case .require: 2
        }
    }
}
