// One extension of a ClientHello, and what a client says in it. Each extension of the registry that has
// a form for clients is read by that form, to the letter; the others stay bytes.

extension ClientHello {
    /// One extension: its number in the registry, its contents, and what they say.
    public struct Extension: Sendable, Hashable {
        /// The number, for example 16 for ALPN.
        public let number: UInt16
        /// The contents octets.
        public let contents: [UInt8]
        /// What the contents say.
        public let value: Value

        /// The number with its name.
        public var type: ExtensionType { ExtensionType(rawValue: number) }

        /// Reads the contents.
        ///
        /// - Throws: ``TLSError`` `.protocolViolation` when a known extension has not its form. One
        ///   that is known by drafts alone is left as it is then.
        init(number: UInt16, contents: [UInt8]) throws(TLSError) {
            self.number = number
            self.contents = contents
            let type = ExtensionType(rawValue: number)
            guard !type.isGREASE else {
                value = .grease
                return
            }
            do throws(TLSError) {
                var reader = ByteReader(contents)
                let read = try Value(type, &reader)
                try reader.finish()
                value = read
            } catch {
                guard !Value.draftNumbers.contains(number) else {
                    value = .raw
                    return
                }
                throw ClientHello.malformed("\(type) has not its form")
            }
        }
    }

    /// The extension of a type; nil when it was not sent.
    ///
    /// - Parameter type: The type.
    /// - Returns: The one extension of it.
    public func first(_ type: ExtensionType) -> Extension? {
        extensions.first { $0.number == type.rawValue }
    }

    /// Whether an extension was sent.
    ///
    /// - Parameter type: The type.
    /// - Returns: True if it is there, whatever it says.
    public func has(_ type: ExtensionType) -> Bool { first(type) != nil }
}

extension ClientHello.Extension {
    /// What a client says in an extension.
    ///
    /// Each case names the extensions that have it. Lists keep the client's order, and GREASE.
    @nonexhaustive
    public enum Value: Sendable, Hashable {
        /// Nothing: the number is one of GREASE (RFC 8701 §2).
        case grease
        /// Nothing that is understood here: see ``ClientHello/Extension/contents``.
        ///
        /// `quic_transport_parameters`, extensions without a form for clients, unknown numbers, and
        /// drafts' that have another form than here.
        case raw
        /// Everything, by being there.
        ///
        /// `client_certificate_url`, `truncated_hmac`, `signed_certificate_timestamp`,
        /// `encrypt_then_mac`, `extended_master_secret`, `tls_cert_with_extern_psk`, `early_data`,
        /// `post_handshake_auth`, `transparency_info`, `rrc`, `next_protocol_negotiation`,
        /// `channel_id`.
        case present
        /// `server_name` (RFC 6066 §3).
        case servername(String)
        /// `max_fragment_length`, in bytes (RFC 6066 §4).
        case maximumFragmentLength(Int)
        /// `trusted_ca_keys` (RFC 6066 §6).
        case trustedAuthorities([TrustedAuthority])
        /// `status_request` and `status_request_v2` (RFC 6066 §8, RFC 6961 §2.2).
        case statusRequests([StatusRequest])
        /// `supported_groups` (RFC 8446 §4.2.7).
        case groups([NamedGroup])
        /// `ec_point_formats` (RFC 8422 §5.1.2).
        case pointFormats([UInt8])
        /// `signature_algorithms`, `signature_algorithms_cert`, `delegated_credential`
        /// (RFC 8446 §4.2.3, RFC 9345 §4.1.1).
        case signatureAlgorithms([SignatureScheme])
        /// `use_srtp` (RFC 5764 §4.1.1).
        case srtp(profiles: [UInt16], masterKeyIdentifier: [UInt8])
        /// `heartbeat`: whether the server may send them (RFC 6520 §2).
        case heartbeat(isWelcome: Bool)
        /// `application_layer_protocol_negotiation` and `application_settings` (RFC 7301 §3.1).
        case applicationProtocols([[UInt8]])
        /// `padding`, in bytes (RFC 7685 §3).
        case padding(Int)
        /// `token_binding`: major and minor version, and the key parameters (RFC 8472 §2).
        case tokenBinding(version: UInt16, keyParameters: [UInt8])
        /// `cached_info` (RFC 7924 §3).
        case cachedObjects([CachedObject])
        /// `compress_certificate`: 1 is zlib, 2 brotli, 3 zstd (RFC 8879 §3).
        case certificateCompression([UInt16])
        /// `record_size_limit`, in bytes (RFC 8449 §4).
        case recordSizeLimit(Int)
        /// `session_ticket`: how many bytes it has; 0 wishes for one (RFC 5077 §3.2).
        case sessionTicket(byteCount: Int)
        /// `pre_shared_key` (RFC 8446 §4.2.11).
        case presharedKeys([PresharedKeyOffer])
        /// `supported_versions` (RFC 8446 §4.2.1).
        case versions([ProtocolVersion])
        /// `psk_key_exchange_modes`: 0 is without (EC)DHE, 1 with it (RFC 8446 §4.2.9).
        case keyExchangeModes([UInt8])
        /// `certificate_authorities`: distinguished names in DER (RFC 8446 §4.2.4).
        case certificateAuthorities([[UInt8]])
        /// `key_share` (RFC 8446 §4.2.8).
        case keyShares([KeyShare])
        /// `ticket_request`: how many tickets are wanted of a full handshake, and of a resumed one
        /// (RFC 9149 §3).
        case ticketRequest(new: Int, resumed: Int)
        /// `dnssec_chain`: the port of the service (RFC 9102 §2.2).
        case dnssecChain(port: UInt16)
        /// `encrypted_client_hello`.
        case encryptedClientHello(EncryptedClientHello)
        /// A list of codes: `user_mapping`, `client_authz`, `server_authz`, `cert_type`,
        /// `client_certificate_type`, `server_certificate_type`, `supported_ekt_ciphers`.
        case codes([UInt8])
        /// One value that is bytes: `srp`, `pwd_protect`, `pwd_clear`, `cookie`, `connection_id`,
        /// `external_id_hash`, `external_session_id`, `tls_flags`, `renegotiation_info`.
        case opaque([UInt8])
    }

    /// A public key for the key exchange (RFC 8446 §4.2.8).
    public struct KeyShare: Sendable, Hashable {
        /// The group.
        public let group: NamedGroup
        /// The public key.
        public let keyExchange: [UInt8]

        /// Makes a share from its parts.
        public init(group: NamedGroup, keyExchange: [UInt8]) {
            self.group = group
            self.keyExchange = keyExchange
        }
    }

    /// A preshared key or ticket that is offered, without its name and proof (RFC 8446 §4.2.11).
    public struct PresharedKeyOffer: Sendable, Hashable {
        /// Bytes of the name or ticket.
        public let identityByteCount: Int
        /// The age of a ticket in milliseconds with a secret added; 0 of other keys.
        public let obfuscatedTicketAge: UInt32
        /// Bytes of the proof: those of the key's hash.
        public let binderByteCount: Int

        /// Makes an offer from its parts.
        public init(
            identityByteCount: Int,
            obfuscatedTicketAge: UInt32,
            binderByteCount: Int
        ) {
            self.identityByteCount = identityByteCount
            self.obfuscatedTicketAge = obfuscatedTicketAge
            self.binderByteCount = binderByteCount
        }
    }

    /// A request for the status of a certificate (RFC 6066 §8).
    public struct StatusRequest: Sendable, Hashable {
        /// What is asked for: 1 is OCSP, 2 OCSP of the whole chain.
        public let type: UInt8
        /// The responders that are trusted, each in DER.
        public let responders: [[UInt8]]
        /// Extensions of the OCSP request, in DER.
        public let requestExtensions: [UInt8]

        /// Makes a request from its parts.
        public init(type: UInt8, responders: [[UInt8]], requestExtensions: [UInt8]) {
            self.type = type
            self.responders = responders
            self.requestExtensions = requestExtensions
        }
    }

    /// A root that the client has (RFC 6066 §6).
    public struct TrustedAuthority: Sendable, Hashable {
        /// How it is named: 0 is agreed before, 1 a key's digest, 2 a name in DER, 3 a certificate's
        /// digest.
        public let type: UInt8
        /// The digest or name.
        public let identifier: [UInt8]

        /// Makes an authority from its parts.
        public init(type: UInt8, identifier: [UInt8]) {
            self.type = type
            self.identifier = identifier
        }
    }

    /// Something the client has kept of an earlier handshake (RFC 7924 §3).
    public struct CachedObject: Sendable, Hashable {
        /// What: 1 is the server's certificates, 2 its request for the client's.
        public let type: UInt8
        /// The digest.
        public let digest: [UInt8]

        /// Makes an object from its parts.
        public init(type: UInt8, digest: [UInt8]) {
            self.type = type
            self.digest = digest
        }
    }

    /// What can be seen of a ClientHello that is encrypted, or looks as if one were.
    public struct EncryptedClientHello: Sendable, Hashable {
        /// The function that derives keys, by its number in the registry of HPKE.
        public let keyDerivation: UInt16
        /// The cipher, by its number in the registry of HPKE.
        public let cipher: UInt16
        /// Which of the server's configurations is used.
        public let configuration: UInt8
        /// The encapsulated key; none in a second ClientHello.
        public let encapsulatedKey: [UInt8]
        /// Bytes of what is encrypted.
        public let payloadByteCount: Int

        /// Makes one from its parts.
        public init(
            keyDerivation: UInt16,
            cipher: UInt16,
            configuration: UInt8,
            encapsulatedKey: [UInt8],
            payloadByteCount: Int
        ) {
            self.keyDerivation = keyDerivation
            self.cipher = cipher
            self.configuration = configuration
            self.encapsulatedKey = encapsulatedKey
            self.payloadByteCount = payloadByteCount
        }
    }
}
