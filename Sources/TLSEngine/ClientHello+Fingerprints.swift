// Names for what a client is, made of its ClientHello: JA3 and JA4. Clients of one make have one name,
// whatever they say; another make can imitate it. Both leave GREASE out everywhere.
//
// The methods are their authors', see NOTICE. Of the JA4 family this is the TLS client's alone.

extension ClientHello {
    /// What carries the handshake, as JA4 tells it.
    public enum FingerprintTransport: String, Sendable, CaseIterable {
        /// TLS over TCP.
        case tls = "t"
        /// DTLS over datagrams.
        case dtls = "d"
        /// TLS inside of QUIC.
        case quic = "q"
    }

    // MARK: JA3

    /// What ``ja3`` is the digest of: version, cipher suites, extensions, groups and point formats, in
    /// decimal and in the order of the client.
    public var ja3Text: String {
        let formats = contents(of: 11).dropFirst().map(UInt16.init)
        let lists = [
            cipherSuites, extensions.map(\.number), groups.map(\.rawValue), Array(formats),
        ]
        let texts = lists.map { list in
            list.filter { !GREASE.contains($0) }.map { String($0) }.joined(separator: "-")
        }
        return ([String(legacyVersion.rawValue)] + texts).joined(separator: ",")
    }

    /// The JA3 fingerprint, an MD5 digest in 32 hexadecimal digits.
    ///
    /// Browsers that put their extensions in a new order each time have another one each time; ``ja4``
    /// is for them. nil where the machine's OpenSSL has no MD5.
    public var ja3: String? {
        OpenSSLLibrary.md5(Array(ja3Text.utf8)).map { digits($0) }
    }

    // MARK: JA4

    /// The JA4 fingerprint of a client of TLS over TCP, for example
    /// `t13d1516h2_8daaf6152771_e5627efa2ab1`.
    public var ja4: String { ja4(over: .tls) }

    /// What ``ja4`` is made of, unhashed: the form that others call JA4_r.
    public var ja4Raw: String { ja4Raw(over: .tls) }

    /// The JA4 fingerprint.
    ///
    /// - Parameter transport: What carried the ClientHello.
    /// - Returns: Three parts: versions and counts, the digest of the cipher suites in order of their
    ///   numbers, and that of the extensions and signature algorithms.
    public func ja4(over transport: FingerprintTransport) -> String {
        let parts = ja4Parts
        return [ja4Head(transport), truncated(parts.suites), truncated(parts.extensions)]
            .joined(separator: "_")
    }

    /// What ``ja4(over:)`` is made of, unhashed.
    ///
    /// - Parameter transport: What carried the ClientHello.
    /// - Returns: The three parts, with the numbers in hexadecimal.
    public func ja4Raw(over transport: FingerprintTransport) -> String {
        let parts = ja4Parts
        return [ja4Head(transport), parts.suites, parts.extensions].joined(separator: "_")
    }

    // MARK: Inside

    /// The lists that are hashed: suites, and extensions with signature algorithms behind them.
    private var ja4Parts: (suites: String, extensions: String) {
        let list = { (numbers: [UInt16]) in
            numbers.filter { !GREASE.contains($0) }.map {
                digits([UInt8($0 >> 8), UInt8($0 & 255)])
            }
            .joined(separator: ",")
        }
        // Name and application protocol depend on where the client goes, and stand in the first part.
        let numbers = extensions.map(\.number).filter { $0 != 0 && $0 != 16 }
        let algorithms = list(signatureAlgorithms.map(\.rawValue))
        let sorted = list(numbers.sorted())
        return (
            list(cipherSuites.sorted()),
            algorithms.isEmpty || sorted.isEmpty ? sorted : "\(sorted)_\(algorithms)"
        )
    }

    private func ja4Head(_ transport: FingerprintTransport) -> String {
        let count = { (numbers: [UInt16]) in
            let meant = min(numbers.filter { !GREASE.contains($0) }.count, 99)
            return meant < 10 ? "0\(meant)" : "\(meant)"
        }
        let version = versions.filter { !GREASE.contains($0) }.max() ?? 0
        let numbers = extensions.map(\.number)
        return transport.rawValue + (ja4Versions[version] ?? "00")
            + (numbers.contains(0) ? "d" : "i") + count(cipherSuites) + count(numbers) + ja4Protocol
    }

    /// The ends of the first application protocol, or those of its digits when they are no letters.
    private var ja4Protocol: String {
        let list = contents(of: 16)
        guard list.count > 3, list[2] > 0 else { return "00" }
        let name = list.dropFirst(3).prefix(Int(list[2]))
        guard let first = name.first, let last = name.last else { return "00" }
        let isAlphanumeric = { (byte: UInt8) in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
            default: false
            }
        }
        if isAlphanumeric(first), isAlphanumeric(last) {
            return String(decoding: [first, last], as: UTF8.self)
        }
        return String(digits([first]).prefix(1)) + String(digits([last]).suffix(1))
    }

    /// The contents octets of an extension; none without it.
    private func contents(of number: UInt16) -> [UInt8] {
        extensions.first { $0.number == number }?.contents ?? []
    }
}

/// How JA4 writes a version.
private let ja4Versions: [UInt16: String] = [
    0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2",
    0xfeff: "d1", 0xfefd: "d2", 0xfefc: "d3",
]

/// Twelve digits of the SHA-256 digest of a list; zeros for an empty one.
private func truncated(_ list: String) -> String {
    guard !list.isEmpty else { return "000000000000" }
    return digits(Array(OpenSSLLibrary.sha256(Array(list.utf8)).prefix(6)))
}

/// Bytes in lower case hexadecimal.
private func digits(_ bytes: [UInt8]) -> String {
    let letters = Array("0123456789abcdef".utf8)
    let text = bytes.flatMap { [letters[Int($0 >> 4)], letters[Int($0 & 15)]] }
    return String(decoding: text, as: UTF8.self)
}
