/// Where ``IssuedCertificate/write(to:name:passphrase:)`` put things.
public struct CertificateFiles: Sendable, Hashable {
    /// The path of the chain in PEM, leaf first, without the root.
    public let chain: String
    /// The path of the private key in PEM, readable by this user only.
    public let key: String
    /// The path of the root certificate in PEM.
    public let root: String
}

extension IssuedCertificate {
    /// Writes the files that other TLS programs ask for.
    ///
    /// The key file begins with a line that says it is for tests only. Existing files are
    /// overwritten. No authority's key is ever written.
    ///
    /// - Parameters:
    ///   - directory: The path of an existing directory.
    ///   - name: Put in front of `chain.pem`, `key.pem` and `root.pem` with a hyphen, if not empty.
    ///   - passphrase: Encrypts the key; nil leaves it in the clear.
    /// - Returns: The paths of the files.
    /// - Throws: ``TestKitError`` `.fileSystem` or `.openSSL`.
    public func write(
        to directory: String,
        name: String = "",
        passphrase: String? = nil
    ) throws(TestKitError) -> CertificateFiles {
        let stem = name.isEmpty ? directory + "/" : "\(directory)/\(name)-"
        let files = CertificateFiles(
            chain: stem + "chain.pem",
            key: stem + "key.pem",
            root: stem + "root.pem"
        )
        // Text before the first PEM block is explanatory and skipped (RFC 7468 §5.2).
        let key =
            "TEST ONLY: \(subject.attributes.map(\.value).joined(separator: ", "))\n"
            + (try privateKey.pkcs8PEM(passphrase: passphrase))
        try writeFile(files.chain, Array(chainPEM.utf8), mode: 0o644)
        try writeFile(files.key, Array(key.utf8), mode: 0o600)
        try writeFile(files.root, Array(rootPEM.utf8), mode: 0o644)
        return files
    }
}
