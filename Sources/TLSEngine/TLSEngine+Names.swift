// Which name a client sends, and which it expects in the certificate.

extension TLSEngine {
    /// The name for SNI: never an IP address (RFC 6066 §3).
    static func sentName(remoteName: String?, servername: String?) throws(TLSError) -> ServerName? {
        if let servername {
            guard !servername.isEmpty else { return nil }
            let name = try ServerName(servername)
            guard name.kind == .dns else {
                throw TLSError(
                    .invalidServername,
                    detail: "\(servername) is an IP address, which is never sent as servername",
                    hint: "Leave the servername out, or give a DNS name"
                )
            }
            return name
        }
        guard let remoteName, let name = try? ServerName(remoteName), name.kind == .dns else {
            return nil
        }
        return name
    }

    /// The name the certificate must be for; nil when the policy gives that up.
    static func expectedName(
        _ context: TLSContext,
        sent: ServerName?,
        remote: String?
    ) throws(TLSError) -> ServerName? {
        let trust = context.trust
        // Who decides about the identity by itself is told the name, if there is one.
        if context.policy.decisions.contains(.serverIdentity) {
            if case .name(let name) = trust.name { return try ServerName(name) }
            return sent ?? remote.flatMap { try? ServerName($0) }
        }
        // A pin stands for the name too.
        if trust.isPinned { return nil }
        switch trust.name {
        case .unchecked: return nil
        case .name(let name): return try ServerName(name)
        case .servername:
            if let sent { return sent }
            guard let remote else {
                guard trust.acceptsAnything == nil else { return nil }
                throw TLSError(
                    .invalidServername,
                    detail: "there is no name to verify the certificate against",
                    hint: "Give a servername, or a name in the trust policy"
                )
            }
            // A peer that is only looked at needs no name that a certificate could be for.
            if trust.acceptsAnything != nil { return try? ServerName(remote) }
            return try ServerName(remote)
        }
    }
}
