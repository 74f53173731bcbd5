// Virtual hosts of a listener: names, the identities they have, and what is different for them.

/// One host of a listener that has several (RFC 6066 §3).
///
/// ```swift
/// $0.hosts = [
///     TLSVirtualHost("a.example", "*.a.example", identities: [rsa, ecdsa]),
///     TLSVirtualHost("intern.example", identities: [own]) { $0.clientAuthentication = .require },
/// ]
/// ```
public struct TLSVirtualHost: Hashable, Sendable {
    /// The names: DNS names in A-labels, or `*.` and one, which stands for one label.
    public var names: [String]
    /// Who the host is, one a type of key.
    public var identities: [TLSIdentity]
    /// Everything that holds for it instead of the listener's members; nil leaves all of those but the
    /// identities.
    public var tls: TLSSocketListenerInit?

    /// Makes a host that differs from the listener in its identities only.
    ///
    /// - Parameters:
    ///   - names: The names it answers to.
    ///   - identities: Who it is.
    public init(_ names: String..., identities: [TLSIdentity]) {
        self.names = names
        self.identities = identities
    }

    /// Makes a host with TLS members of its own: the defaults, as a closure changes them.
    ///
    /// - Parameters:
    ///   - names: The names it answers to.
    ///   - identities: Who it is.
    ///   - configure: Sets members.
    /// - Throws: What the closure throws.
    public init<Failure: Error>(
        _ names: String...,
        identities: [TLSIdentity],
        _ configure: (inout TLSSocketListenerInit) throws(Failure) -> Void
    ) throws(Failure) {
        self.names = names
        self.identities = identities
        var tls = TLSSocketListenerInit()
        try configure(&tls)
        self.tls = tls
    }
}

extension TLSSocketListenerInit {
    /// The table of the hosts; nil without any.
    func virtualHosts() throws(SocketError) -> TLSHosts? {
        guard !hosts.isEmpty else { return nil }
        var table = TLSHosts(fallback: hostFallback)
        for host in hosts {
            guard !host.names.isEmpty else {
                throw SocketError(.invalidOption, detail: "a virtual host has no name")
            }
            let label = host.names.joined(separator: " ")
            var tls = asHost(host.identities)
            if let own = host.tls {
                tls = own
                tls.identities += host.identities
            }
            let context = try tls.hostContext(named: label)
            for name in host.names {
                do throws(TLSError) {
                    try table.add(name, context)
                } catch {
                    throw .configuration(error)
                }
            }
        }
        return table
    }

    /// These members with other identities, as one host.
    func asHost(_ identities: [TLSIdentity]) -> TLSSocketListenerInit {
        var tls = self
        tls.hosts = []
        tls.callbacks.chooseHost = nil
        tls.callbacks.admit = nil
        tls.identity = nil
        tls.files = nil
        (tls.key, tls.cert, tls.passphrase) = (nil, nil, nil)
        tls.identities = identities
        // It speaks of the listener's own certificate.
        tls.ocspResponse = nil
        return tls
    }

    /// The configuration of one host, whose sessions are kept apart by a label.
    func hostContext(named label: String?) throws(SocketError) -> TLSContext {
        guard hosts.isEmpty, callbacks.chooseHost == nil else {
            throw SocketError(.invalidOption, detail: "a virtual host has hosts of its own")
        }
        guard callbacks.admit == nil else {
            throw SocketError(
                .invalidOption,
                detail: "admit is set for a virtual host",
                hint: "Set it for the listener: it sees the servername"
            )
        }
        return try context(host: label, hosts: nil)
    }
}
