// The forms of the extensions of a ClientHello, each as its RFC writes it, bounds included.

extension ClientHello.Extension.Value {
    /// Numbers that no RFC, or none yet, gives a form: another one is no violation.
    static let draftNumbers: Set<UInt16> = [13172, 17513, 17613, 30031, 30032, 65037]

    /// Reads contents; what is left in the reader is too much.
    init(_ type: ExtensionType, _ reader: inout ByteReader) throws(TLSError) {
        switch type.rawValue {
        case 2, 4, 18, 22, 23, 33, 42, 49, 52, 61, 13172, 30031, 30032: self = .present
        case 0: self = .servername(try Self.servername(&reader))
        case 1: self = .maximumFragmentLength(try Self.fragmentLength(&reader))
        case 3: self = .trustedAuthorities(try Self.authorities(&reader))
        case 5: self = try Self.statusRequest(&reader)
        case 17: self = .statusRequests(try Self.statusRequests(&reader))
        case 10:
            self = .groups(try Self.numbers(reader.vector16(2)).map(NamedGroup.init(rawValue:)))
        case 11: self = .pointFormats(try reader.vector8(1))
        case 13, 34, 50:
            self = .signatureAlgorithms(
                try Self.numbers(reader.vector16(2)).map(SignatureScheme.init(rawValue:))
            )
        case 14:
            let profiles = try Self.numbers(reader.vector16(2))
            self = .srtp(profiles: profiles, masterKeyIdentifier: try reader.vector8())
        case 15: self = .heartbeat(isWelcome: try Self.heartbeatMode(&reader))
        case 16, 17513, 17613: self = .applicationProtocols(try Self.protocols(&reader))
        case 21: self = .padding(reader.takeRest().count)
        case 24:
            let version = try reader.number16()
            self = .tokenBinding(version: version, keyParameters: try reader.vector8(1))
        case 25: self = .cachedObjects(try Self.cachedObjects(&reader))
        case 27: self = .certificateCompression(try Self.numbers(reader.vector8(2)))
        case 28: self = .recordSizeLimit(try Self.recordSize(&reader))
        case 35: self = .sessionTicket(byteCount: reader.takeRest().count)
        case 41: self = .presharedKeys(try Self.presharedKeys(&reader))
        case 43:
            let list = try Self.numbers(reader.vector8(2))
            self = .versions(list.map(ProtocolVersion.init(rawValue:)))
        case 45: self = .keyExchangeModes(try reader.vector8(1))
        case 47: self = .certificateAuthorities(try Self.names(&reader))
        case 51: self = .keyShares(try Self.keyShares(&reader))
        case 58:
            let new = Int(try reader.number8())
            self = .ticketRequest(new: new, resumed: Int(try reader.number8()))
        case 59: self = .dnssecChain(port: try reader.number16())
        case 65037: self = try Self.encryptedClientHello(&reader)
        case 6...9, 19, 20, 39: self = .codes(try reader.vector8(1))
        case 12, 29, 30: self = .opaque(try reader.vector8(1))
        case 44: self = .opaque(try reader.vector16(1))
        case 54, 55, 56, 62, 65281: self = .opaque(try reader.vector8())
        default:
            _ = reader.takeRest()
            self = .raw
        }
    }

    private static func numbers(_ bytes: [UInt8]) throws(TLSError) -> [UInt16] {
        var list = ByteReader(bytes)
        return try list.numbers16()
    }

    /// One name of a host, as every version of TLS has it; without a byte of zero.
    private static func servername(_ reader: inout ByteReader) throws(TLSError) -> String {
        var list = try reader.reader16(1)
        let type = try list.number8()
        let name = try list.vector16(1)
        try list.finish()
        guard type == 0, name.count <= 255, !name.contains(0) else {
            throw ClientHello.malformed("it names no host")
        }
        return String(decoding: name, as: UTF8.self)
    }

    private static func fragmentLength(_ reader: inout ByteReader) throws(TLSError) -> Int {
        let code = try reader.number8()
        guard (1...4).contains(code) else { throw ClientHello.malformed("no length") }
        return 256 << Int(code)
    }

    private static func recordSize(_ reader: inout ByteReader) throws(TLSError) -> Int {
        let limit = Int(try reader.number16())
        guard limit >= 64 else { throw ClientHello.malformed("less than 64 bytes") }
        return limit
    }

    private static func heartbeatMode(_ reader: inout ByteReader) throws(TLSError) -> Bool {
        let mode = try reader.number8()
        guard mode == 1 || mode == 2 else { throw ClientHello.malformed("no mode") }
        return mode == 1
    }

    private static func protocols(_ reader: inout ByteReader) throws(TLSError) -> [[UInt8]] {
        var list = try reader.reader16(2)
        return try list.all { reader throws(TLSError) in try reader.vector8(1) }
    }

    private static func names(_ reader: inout ByteReader) throws(TLSError) -> [[UInt8]] {
        var list = try reader.reader16(3)
        return try list.all { reader throws(TLSError) in try reader.vector16(1) }
    }

    private static func authorities(
        _ reader: inout ByteReader
    ) throws(TLSError) -> [ClientHello.Extension.TrustedAuthority] {
        var list = try reader.reader16()
        return try list.all { reader throws(TLSError) in
            let type = try reader.number8()
            let identifier: [UInt8] =
                switch type {
                case 0: []
                case 1, 3: try reader.take(20)
                case 2: try reader.vector16(1)
                default: throw ClientHello.malformed("no kind of authority")
                }
            return ClientHello.Extension.TrustedAuthority(type: type, identifier: identifier)
        }
    }

    /// What a request for OCSP says.
    private static func ocspRequest(
        _ type: UInt8,
        _ reader: inout ByteReader
    ) throws(TLSError) -> ClientHello.Extension.StatusRequest {
        var list = try reader.reader16()
        let responders = try list.all { reader throws(TLSError) in try reader.vector16(1) }
        return ClientHello.Extension.StatusRequest(
            type: type,
            responders: responders,
            requestExtensions: try reader.vector16()
        )
    }

    private static func statusRequest(_ reader: inout ByteReader) throws(TLSError) -> Self {
        let type = try reader.number8()
        guard type == 1 else {
            _ = reader.takeRest()
            return .raw
        }
        return .statusRequests([try ocspRequest(type, &reader)])
    }

    private static func statusRequests(
        _ reader: inout ByteReader
    ) throws(TLSError) -> [ClientHello.Extension.StatusRequest] {
        var list = try reader.reader16(1)
        return try list.all { reader throws(TLSError) in
            let type = try reader.number8()
            var request = try reader.reader16()
            guard type == 1 || type == 2 else {
                return ClientHello.Extension.StatusRequest(
                    type: type,
                    responders: [],
                    requestExtensions: []
                )
            }
            let read = try ocspRequest(type, &request)
            try request.finish()
            return read
        }
    }

    private static func cachedObjects(
        _ reader: inout ByteReader
    ) throws(TLSError) -> [ClientHello.Extension.CachedObject] {
        var list = try reader.reader16(1)
        return try list.all { reader throws(TLSError) in
            let type = try reader.number8()
            return ClientHello.Extension.CachedObject(type: type, digest: try reader.vector8(1))
        }
    }

    private static func presharedKeys(
        _ reader: inout ByteReader
    ) throws(TLSError) -> [ClientHello.Extension.PresharedKeyOffer] {
        var list = try reader.reader16(7)
        let identities = try list.all { reader throws(TLSError) in
            let count = try reader.vector16(1).count
            return (count: count, age: try reader.number32())
        }
        var proofs = try reader.reader16(33)
        let binders = try proofs.all { reader throws(TLSError) in try reader.vector8(32).count }
        guard identities.count == binders.count else {
            throw ClientHello.malformed("not one proof for each key")
        }
        return zip(identities, binders).map { identity, binder in
            ClientHello.Extension.PresharedKeyOffer(
                identityByteCount: identity.count,
                obfuscatedTicketAge: identity.age,
                binderByteCount: binder
            )
        }
    }

    private static func keyShares(
        _ reader: inout ByteReader
    ) throws(TLSError) -> [ClientHello.Extension.KeyShare] {
        var list = try reader.reader16()
        return try list.all { reader throws(TLSError) in
            let group = NamedGroup(rawValue: try reader.number16())
            let key = try reader.vector16(1)
            return ClientHello.Extension.KeyShare(group: group, keyExchange: key)
        }
    }

    private static func encryptedClientHello(
        _ reader: inout ByteReader
    ) throws(TLSError) -> Self {
        // 1 marks the inner one, which nobody sees but the server that decrypted it.
        guard try reader.number8() == 0 else { throw ClientHello.malformed("it is not outside") }
        let derivation = try reader.number16()
        let cipher = try reader.number16()
        let configuration = try reader.number8()
        let key = try reader.vector16()
        return .encryptedClientHello(
            ClientHello.Extension.EncryptedClientHello(
                keyDerivation: derivation,
                cipher: cipher,
                configuration: configuration,
                encapsulatedKey: key,
                payloadByteCount: try reader.vector16(1).count
            )
        )
    }
}
