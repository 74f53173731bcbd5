// A TLS peer that shakes hands as it should and then sends, under the right keys, whatever a test
// wants: empty records, messages nobody expects, floods. Records it sends are made by hand; OpenSSL
// is there for the handshake and to read what the other side says.

internal import COpenSSL
public import TLSEngine

/// A TLS peer in memory that goes by the protocol until the handshake is done.
///
/// ```swift
/// let peer = try FaultPeer(.client, .tls13)
/// var bytes = try peer.step([])
/// // … carry bytes to and fro until peer.isReady …
/// bytes = try peer.record(.handshake, [24, 0, 0, 1, 7])
/// ```
@safe
public final class FaultPeer {
    /// A record's content type (RFC 8446 §5.1).
    public struct ContentType: RawRepresentable, Hashable, Sendable {
        /// The number on the wire.
        public let rawValue: UInt8

        /// Makes a type from any number.
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// change_cipher_spec.
        public static let changeCipherSpec = ContentType(rawValue: 20)
        /// alert.
        public static let alert = ContentType(rawValue: 21)
        /// handshake.
        public static let handshake = ContentType(rawValue: 22)
        /// application_data.
        public static let applicationData = ContentType(rawValue: 23)
    }

    /// Whether the handshake is done: records can be made.
    public private(set) var isReady = false
    /// Plaintext received.
    public private(set) var received: [UInt8] = []
    /// The last alert that the other side sent, close_notify included.
    public private(set) var alertReceived: Alert?
    /// Changes what a flight of the handshake consists of; nil changes nothing.
    ///
    /// Gets the records of a flight of TLS 1.2, each with one message. Of TLS 1.3 it gets the messages that
    /// the handshake's keys protect, which are sealed anew in the order it gives.
    public var arrange: ((_ parts: [[UInt8]]) -> [[UInt8]])?

    private let role: TLSRole
    private let version: ProtocolVersion
    private let padding: [UInt8]
    /// The application protocol that a server chooses, offered or not; freed in deinit.
    private let chosen: UnsafeMutableBufferPointer<UInt8>
    // Freed in deinit, with both BIOs.
    private let ssl: OpaquePointer
    private let input: OpaquePointer
    private let output: OpaquePointer
    /// What OpenSSL logs of the secrets, label first.
    private var secrets: [String: [[UInt8]]] = [:]
    /// The protected messages of TLS 1.3 that the step under way has made.
    private var messages: [[UInt8]] = []
    private var sealer: RecordSealer?

    /// Makes a peer.
    ///
    /// - Parameters:
    ///   - role: Which side it plays.
    ///   - version: The one version it speaks, with AES-128-GCM and SHA-256.
    ///   - certificate: What it presents; a server needs one.
    ///   - helloPadding: Bytes of an extension that nobody knows, by which a client's hello grows;
    ///     0...65,000.
    ///   - applicationProtocol: What a server answers to clients that offer protocols, offered or
    ///     not; nil answers nothing.
    ///   - authorities: Of how many authorities a server wants a client certificate; 0 wants none.
    ///     Any certificate will do, and none as well.
    /// - Throws: ``TestKitError`` `.openSSL`.
    public init(
        _ role: TLSRole,
        _ version: ProtocolVersion,
        certificate: IssuedCertificate? = nil,
        helloPadding: Int = 0,
        choosing applicationProtocol: String? = nil,
        authorities: Int = 0
    ) throws(TestKitError) {
        self.role = role
        self.version = version
        padding = [UInt8](repeating: 0, count: helloPadding)
        let name = Array((applicationProtocol ?? "").utf8.prefix(255))
        let chosen = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: name.count)
        _ = unsafe chosen.initialize(from: name)
        do throws(TestKitError) {
            let context = try unsafe openSSL("make a context") {
                unsafe SSL_CTX_new(role == .client ? TLS_client_method() : TLS_server_method())
            }
            // The connection keeps a reference of its own.
            defer { unsafe SSL_CTX_free(context) }
            try unsafe FaultPeer.configure(context, version)
            if let certificate { try unsafe FaultPeer.use(certificate, context) }
            if helloPadding > 0 { try unsafe FaultPeer.padHello(context) }
            if !name.isEmpty { unsafe FaultPeer.chooseProtocol(context) }
            if authorities > 0 { try unsafe FaultPeer.demandCertificate(context, authorities) }
            unsafe (ssl, input, output) = try unsafe openSSL("make a connection") {
                guard let ssl = unsafe SSL_new(context), let input = unsafe BIO_new(BIO_s_mem()),
                    let output = unsafe BIO_new(BIO_s_mem())
                else { return nil }
                unsafe SSL_set_bio(ssl, input, output)  // takes both over
                return unsafe (ssl, input, output)
            }
            unsafe self.chosen = chosen
        } catch {
            unsafe chosen.deallocate()
            throw error
        }
        // The callbacks run within calls of `step` only.
        unsafe SSL_set_ex_data(ssl, FaultPeer.index, Unmanaged.passUnretained(self).toOpaque())
        switch role {
        case .client: unsafe SSL_set_connect_state(ssl)
        case .server: unsafe SSL_set_accept_state(ssl)
        }
    }

    deinit {
        unsafe SSL_free(ssl)
        unsafe chosen.deallocate()
    }

    /// Takes what the other side sent, and goes on with the handshake or reads.
    ///
    /// - Parameter ciphertext: Bytes in arrival order; none to begin as a client.
    /// - Returns: What to send; nothing once the handshake is done.
    /// - Throws: ``TestKitError`` `.openSSL` when the handshake failed.
    public func step(_ ciphertext: [UInt8]) throws(TestKitError) -> [UInt8] {
        if !ciphertext.isEmpty { unsafe BIO_write(input, ciphertext, CInt(ciphertext.count)) }
        guard !isReady else {
            read()
            return []
        }
        ERR_clear_error()
        messages = []
        let code = unsafe SSL_do_handshake(ssl)
        if code != 1, unsafe SSL_get_error(ssl, code) != SSL_ERROR_WANT_READ {
            throw TestKitError(.openSSL, "shake hands")
        }
        let bytes = try arranged(takeOutput())
        if code == 1 {
            isReady = true
            sealer = try makeSealer()
            read()
        }
        return bytes
    }

    /// A flight as ``arrange`` wants it.
    private func arranged(_ flight: [UInt8]) throws(TestKitError) -> [UInt8] {
        guard let arrange else { return flight }
        let records = FaultPeer.records(flight)
        guard version == .tls13 else { return arrange(records).flatMap(\.self) }
        guard !messages.isEmpty else { return flight }
        let label = "\(role == .client ? "CLIENT" : "SERVER")_HANDSHAKE_TRAFFIC_SECRET"
        var sealer = try RecordSealer(trafficSecret: secrets[label]?[1] ?? [])
        var bytes = records.filter { $0[0] != ContentType.applicationData.rawValue }.flatMap(\.self)
        for message in arrange(messages) {
            bytes += try sealer.seal(ContentType.handshake.rawValue, message)
        }
        return bytes
    }

    /// Whole records, each with its header.
    private static func records(_ bytes: [UInt8]) -> [[UInt8]] {
        var records: [[UInt8]] = []
        var place = 0
        while place + 5 <= bytes.count {
            let end = place + 5 + Int(bytes[place + 3]) << 8 + Int(bytes[place + 4])
            records.append(Array(bytes[place..<min(end, bytes.count)]))
            place = end
        }
        return records
    }

    /// Makes a record under the connection's keys.
    ///
    /// - Parameters:
    ///   - type: Its content type, any number.
    ///   - content: Its plaintext, of any size.
    ///   - padding: Zeros behind the plaintext, in TLS 1.3.
    /// - Returns: The record.
    /// - Throws: ``TestKitError`` `.openSSL`.
    /// - Precondition: ``isReady``.
    public func record(
        _ type: ContentType,
        _ content: [UInt8],
        padding: Int = 0
    ) throws(TestKitError) -> [UInt8] {
        precondition(isReady, "a record needs the keys of a handshake that is done")
        return try sealer?.seal(type.rawValue, content, padding: padding) ?? []
    }

    /// Makes a KeyUpdate (RFC 8446 §4.6.3); what is sent behind it is under the next key.
    ///
    /// - Parameter isAsking: Whether the other side is to change its key too.
    /// - Returns: The record.
    /// - Throws: ``TestKitError`` `.openSSL`.
    /// - Precondition: ``isReady``.
    public func keyUpdate(isAsking: Bool = false) throws(TestKitError) -> [UInt8] {
        let bytes = try record(.handshake, [24, 0, 0, 1, isAsking ? 1 : 0])
        try sealer?.updateKey()
        return bytes
    }

    // MARK: Inside

    private static let index = cssl_ssl_ex_index()

    private static func configure(
        _ context: OpaquePointer,
        _ version: ProtocolVersion
    ) throws(TestKitError) {
        try openSSL("configure a context") { () -> Void? in
            let number = CInt(version.rawValue)
            let isSet =
                unsafe cssl_ctx_set_min_proto_version(context, number) == 1
                && cssl_ctx_set_max_proto_version(context, number) == 1
                && SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") == 1
                && SSL_CTX_set_cipher_list(
                    context,
                    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
                ) == 1
                // A ticket behind the handshake would take a record's number.
                && SSL_CTX_set_num_tickets(context, 0) == 1
            return isSet ? () : nil
        }
        unsafe SSL_CTX_set_keylog_callback(context) { ssl, line in
            guard let line = unsafe line else { return }
            unsafe FaultPeer.of(ssl)?.note(secret: String(cString: line))
        }
        unsafe SSL_CTX_set_msg_callback(context) { isSent, _, type, bytes, count, ssl, _ in
            guard isSent == 1, type == ContentType.handshake.rawValue else { return }
            let message = unsafe Array(UnsafeRawBufferPointer(start: bytes, count: count))
            // The hellos are in the clear.
            guard let first = message.first, first > 2 else { return }
            unsafe FaultPeer.of(ssl)?.messages.append(message)
        }
        unsafe SSL_CTX_set_info_callback(context) { ssl, event, value in
            guard event & SSL_CB_READ_ALERT == SSL_CB_READ_ALERT,
                let level = Alert.Level(rawValue: UInt8(truncatingIfNeeded: value >> 8))
            else { return }
            let alert = Alert(UInt8(truncatingIfNeeded: value), level: level)
            unsafe FaultPeer.of(ssl)?.alertReceived = alert
        }
    }

    /// Has clients of a context send their padding as an extension of a private number.
    private static func padHello(_ context: OpaquePointer) throws(TestKitError) {
        try openSSL(status: "add an extension") {
            unsafe SSL_CTX_add_custom_ext(
                context,
                0xff77,
                CUnsignedInt(SSL_EXT_CLIENT_HELLO),
                { ssl, _, _, bytes, count, _, _, _, _ in
                    guard let peer = unsafe FaultPeer.of(ssl), let bytes = unsafe bytes,
                        let count = unsafe count
                    else { return 0 }
                    let copy = UnsafeMutablePointer<UInt8>.allocate(
                        capacity: peer.padding.count
                    )
                    unsafe copy.initialize(from: peer.padding, count: peer.padding.count)
                    unsafe bytes.pointee = UnsafePointer(copy)
                    unsafe count.pointee = peer.padding.count
                    return 1
                },
                { _, _, _, bytes, _ in unsafe bytes?.deallocate() },
                nil,
                nil,
                nil
            )
        }
    }

    /// Has servers of a context choose their protocol, whatever is offered.
    private static func chooseProtocol(_ context: OpaquePointer) {
        unsafe SSL_CTX_set_alpn_select_cb(
            context,
            { ssl, chosen, count, _, _, _ in
                guard let peer = unsafe FaultPeer.of(ssl) else { return SSL_TLSEXT_ERR_NOACK }
                // OpenSSL copies it, and the peer lives as long as the connection.
                unsafe chosen?.pointee = UnsafePointer(peer.chosen.baseAddress)
                unsafe count?.pointee = UInt8(peer.chosen.count)
                return SSL_TLSEXT_ERR_OK
            },
            nil
        )
    }

    /// Has servers of a context ask for a certificate of one of so many authorities.
    private static func demandCertificate(
        _ context: OpaquePointer,
        _ count: Int
    ) throws(TestKitError) {
        let names = try unsafe openSSL("make a list of names") { unsafe cssl_x509_name_stack_new() }
        for number in 0..<count {
            let name = try unsafe openSSL("make a name") { unsafe X509_NAME_new() }
            try openSSL(status: "name an authority") {
                unsafe X509_NAME_add_entry_by_txt(
                    name,
                    "CN",
                    MBSTRING_FLAG | 1,  // MBSTRING_ASC, which Swift cannot read
                    "Test Authority \(number)",
                    -1,
                    -1,
                    0
                )
            }
            // The list takes the name over, and the context the list.
            unsafe cssl_x509_name_stack_push(names, name)
        }
        unsafe SSL_CTX_set_client_CA_list(context, names)
        unsafe SSL_CTX_set_cert_verify_callback(context, { _, _ in 1 }, nil)
        unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
    }

    private static func of(_ ssl: OpaquePointer?) -> FaultPeer? {
        unsafe SSL_get_ex_data(ssl, index).map {
            unsafe Unmanaged<FaultPeer>.fromOpaque($0).takeUnretainedValue()
        }
    }

    private static func use(
        _ certificate: IssuedCertificate,
        _ context: OpaquePointer
    ) throws(TestKitError) {
        for (place, der) in certificate.chainDER.enumerated() {
            let x509 = try unsafe openSSL("read a certificate") {
                unsafe der.withUnsafeBufferPointer {
                    var cursor = $0.baseAddress
                    return unsafe d2i_X509(nil, &cursor, $0.count)
                }
            }
            defer { unsafe X509_free(x509) }
            try openSSL(status: "use a certificate") {
                unsafe place == 0
                    ? SSL_CTX_use_certificate(context, x509)
                    : cssl_ctx_add1_chain_cert(context, x509)
            }
        }
        let der = try certificate.privateKeyDER
        let key = try unsafe openSSL("read a key") {
            unsafe der.withUnsafeBufferPointer {
                var cursor = $0.baseAddress
                return unsafe d2i_AutoPrivateKey(nil, &cursor, $0.count)
            }
        }
        defer { unsafe EVP_PKEY_free(key) }
        try openSSL(status: "use a key") { unsafe SSL_CTX_use_PrivateKey(context, key) }
    }

    /// Takes a line of the key log: a label and two numbers in hexadecimal.
    private func note(secret line: String) {
        let words = line.split(separator: " ")
        guard words.count == 3 else { return }
        secrets[String(words[0])] = words.dropFirst().map { word in
            let digits = Array(word)
            return stride(from: 0, to: digits.count - 1, by: 2).compactMap {
                UInt8(String(digits[$0...$0 + 1]), radix: 16)
            }
        }
    }

    private func makeSealer() throws(TestKitError) -> RecordSealer {
        guard version == .tls13 else {
            let found = secrets["CLIENT_RANDOM"] ?? [[], []]
            var random = [UInt8](repeating: 0, count: 32)
            unsafe SSL_get_server_random(ssl, &random, random.count)
            return try RecordSealer(
                masterSecret: found[1],
                randoms: random + found[0],
                isClient: role == .client
            )
        }
        let label = role == .client ? "CLIENT_TRAFFIC_SECRET_0" : "SERVER_TRAFFIC_SECRET_0"
        return try RecordSealer(trafficSecret: secrets[label]?[1] ?? [])
    }

    private func read() {
        var buffer = [UInt8](repeating: 0, count: 16384)
        while true {
            ERR_clear_error()
            let count = unsafe SSL_read(ssl, &buffer, CInt(buffer.count))
            guard count > 0 else { break }
            received += buffer.prefix(Int(count))
        }
        ERR_clear_error()
        // What OpenSSL would answer is not sent: the records' numbers are this type's own.
        _ = takeOutput()
    }

    private func takeOutput() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Int(unsafe BIO_ctrl_pending(output)))
        guard !bytes.isEmpty else { return [] }
        let count = unsafe BIO_read(output, &bytes, CInt(bytes.count))
        return Array(bytes.prefix(Int(max(0, count))))
    }
}
