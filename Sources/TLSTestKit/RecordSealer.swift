// Protected records made by hand, byte for byte as a test wants them: OpenSSL's own peers keep the
// protocol, and what they would never send is what has to be tried. One suite for each version is
// enough for that: AES-128-GCM with SHA-256.

internal import COpenSSL

/// Seals records of one direction of a connection (RFC 8446 §5.2, RFC 5288 §3).
struct RecordSealer {
    private enum Scheme {
        /// TLS 1.3: the traffic secret, from which the next one follows.
        case tls13(secret: [UInt8])
        case tls12
    }

    private var scheme: Scheme
    private var key: [UInt8]
    /// 12 bytes in TLS 1.3, the 4 fixed ones in TLS 1.2.
    private var iv: [UInt8]
    private var sequence: UInt64

    /// Begins with the first record behind a TLS 1.3 handshake.
    ///
    /// - Parameter secret: The direction's traffic secret, 32 bytes.
    /// - Throws: ``TestKitError`` `.openSSL`.
    init(trafficSecret secret: [UInt8]) throws(TestKitError) {
        scheme = .tls13(secret: secret)
        key = try RecordSealer.expand(secret, "key", count: 16)
        iv = try RecordSealer.expand(secret, "iv", count: 12)
        sequence = 0
    }

    /// Begins with the first record behind a TLS 1.2 handshake: the Finished message was number 0.
    ///
    /// - Parameters:
    ///   - secret: The master secret, 48 bytes.
    ///   - randoms: The server's random and then the client's, 32 bytes each.
    ///   - isClient: Whose records are sealed.
    /// - Throws: ``TestKitError`` `.openSSL`.
    init(
        masterSecret secret: [UInt8],
        randoms: [UInt8],
        isClient: Bool
    ) throws(TestKitError) {
        // RFC 5246 §6.3: both keys, then both fixed parts of the nonces.
        let seed = Array("key expansion".utf8) + randoms
        var block: [UInt8] = []
        var link = seed
        while block.count < 40 {
            link = try RecordSealer.hmac(secret, link)
            block += try RecordSealer.hmac(secret, link + seed)
        }
        scheme = .tls12
        key = Array(isClient ? block[0..<16] : block[16..<32])
        iv = Array(isClient ? block[32..<36] : block[36..<40])
        sequence = 1
    }

    /// Makes a record.
    ///
    /// - Parameters:
    ///   - type: Its content type (RFC 8446 §5.1), any number.
    ///   - content: Its plaintext, as much as one likes.
    ///   - padding: Zeros behind the type, TLS 1.3 only.
    /// - Returns: The whole record, with its header.
    /// - Throws: ``TestKitError`` `.openSSL`.
    mutating func seal(
        _ type: UInt8,
        _ content: [UInt8],
        padding: Int = 0
    ) throws(TestKitError) -> [UInt8] {
        defer { sequence += 1 }
        let number = RecordSealer.bigEndian(sequence)
        switch scheme {
        case .tls13:
            let inner = content + [type] + [UInt8](repeating: 0, count: padding)
            let header = [23, 3, 3] + RecordSealer.length(inner.count + 16)
            var nonce = iv
            for (place, byte) in number.enumerated() { nonce[4 + place] ^= byte }
            return try header + encrypt(inner, nonce: nonce, authenticating: header)
        case .tls12:
            let authenticated = number + [type, 3, 3] + RecordSealer.length(content.count)
            let body = try encrypt(content, nonce: iv + number, authenticating: authenticated)
            return [type, 3, 3] + RecordSealer.length(8 + body.count) + number + body
        }
    }

    /// Goes on to the next key, as one does behind a KeyUpdate (RFC 8446 §7.2).
    mutating func updateKey() throws(TestKitError) {
        guard case .tls13(let secret) = scheme else { return }
        let next = try RecordSealer.expand(secret, "traffic upd", count: 32)
        self = try RecordSealer(trafficSecret: next)
    }

    // MARK: Inside

    private static func bigEndian(_ number: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) }
    }

    /// Two bytes; a larger number loses its front, as it would in the field.
    private static func length(_ count: Int) -> [UInt8] {
        [UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count)]
    }

    /// HKDF-Expand-Label without a context, for at most one block (RFC 8446 §7.1).
    private static func expand(
        _ secret: [UInt8],
        _ label: String,
        count: Int
    ) throws(TestKitError) -> [UInt8] {
        let label = Array("tls13 \(label)".utf8)
        let info = length(count) + [UInt8(label.count)] + label + [0]
        return Array(try hmac(secret, info + [1]).prefix(count))
    }

    private static func hmac(
        _ key: [UInt8],
        _ message: [UInt8]
    ) throws(TestKitError) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        var count = 0
        try openSSL("compute an HMAC") { () -> Void? in
            unsafe EVP_Q_mac(
                nil,
                "HMAC",
                nil,
                "SHA256",
                nil,
                key,
                key.count,
                message,
                message.count,
                &digest,
                digest.count,
                &count
            ).map { _ in () }
        }
        return digest
    }

    private func encrypt(
        _ plaintext: [UInt8],
        nonce: [UInt8],
        authenticating header: [UInt8]
    ) throws(TestKitError) -> [UInt8] {
        var sealed = [UInt8](repeating: 0, count: plaintext.count)
        var tag = [UInt8](repeating: 0, count: 16)
        try openSSL("seal a record") { () -> Void? in
            guard let context = unsafe EVP_CIPHER_CTX_new() else { return nil }
            defer { unsafe EVP_CIPHER_CTX_free(context) }
            var count: CInt = 0
            let isSealed =
                unsafe EVP_EncryptInit_ex(context, EVP_aes_128_gcm(), nil, key, nonce) == 1
                && EVP_EncryptUpdate(context, nil, &count, header, CInt(header.count)) == 1
                && EVP_EncryptUpdate(context, &sealed, &count, plaintext, CInt(plaintext.count))
                    == 1
                && EVP_EncryptFinal_ex(context, nil, &count) == 1
                && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, &tag) == 1
            return isSealed ? () : nil
        }
        return sealed + tag
    }
}
