// Reading identities and certificates from files: the engine does no I/O, so it stands here.

import SocketCore

/// The most bytes a certificate or key file may have.
let credentialFileLimit = 4 << 20

extension TLSIdentity {
    /// Reads an identity from files.
    ///
    /// - Parameters:
    ///   - certificateFile: A chain in PEM, leaf first, or one certificate in DER.
    ///   - privateKeyFile: The leaf's key in PEM or DER.
    ///   - passphrase: Opens an encrypted key.
    /// - Throws: ``SocketError`` that names the file.
    public init(
        certificateFile: String,
        privateKeyFile: String,
        passphrase: SecretBytes? = nil
    ) throws(SocketError) {
        let certificate = try contents(of: certificateFile)
        let key = try contents(of: privateKeyFile)
        do throws(TLSError) {
            try self.init(certificate: certificate, privateKey: key, passphrase: passphrase)
        } catch {
            throw SocketError(
                .invalidTLSConfiguration,
                detail: "\(certificateFile), \(privateKeyFile)",
                tls: error
            )
        }
    }
}

extension Certificate {
    /// Reads certificates from a file.
    ///
    /// - Parameter file: PEM with one or more certificates, or one in DER.
    /// - Returns: The certificates in order, at least one.
    /// - Throws: ``SocketError`` that names the file.
    public static func read(file: String) throws(SocketError) -> [Certificate] {
        let bytes = try contents(of: file)
        do throws(TLSError) {
            return try Certificate.read(bytes)
        } catch {
            throw SocketError(.invalidTLSConfiguration, detail: file, tls: error)
        }
    }
}

private func contents(of path: String) throws(SocketError) -> [UInt8] {
    do throws(SystemCallError) {
        return try ByteFile.contents(of: path, limit: credentialFileLimit)
    } catch {
        throw SocketError(
            .systemCallFailed,
            detail: path,
            errno: error.errno.rawValue,
            systemCall: error.call
        )
    }
}
