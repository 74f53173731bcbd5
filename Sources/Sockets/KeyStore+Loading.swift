// Reading from a store may block for long, as when a hardware module is asked: the async forms do it on
// threads of their own.

import SocketCore

extension TLSIdentity {
    /// Reads an identity from where URIs say it is, without holding up who waits for it.
    ///
    /// - Parameters:
    ///   - uri: Where the key is, for example `file:/etc/tls/server.p12` or `pkcs11:token=a;object=b`;
    ///     a path is a file.
    ///   - certificateURI: Where the certificates are; nil when they are with the key.
    ///   - passphrase: Opens what is encrypted, and is the PIN of a token.
    ///   - library: The library context whose providers know the scheme; nil is the process's.
    /// - Returns: The identity, its chain in order.
    /// - Throws: ``SocketError`` `.invalidTLSConfiguration`; what went wrong is in ``SocketError/tls``.
    public static func read(
        uri: String,
        certificateURI: String? = nil,
        passphrase: SecretBytes? = nil,
        library: TLSLibrary? = nil
    ) async throws(SocketError) -> TLSIdentity {
        try await blocking { () throws(TLSError) in
            try TLSIdentity(
                uri: uri,
                certificateURI: certificateURI,
                passphrase: passphrase,
                library: library
            )
        }
    }

    /// The same identity, whose key signs on threads of its own instead of the handshake's.
    ///
    /// For a key that a provider holds in hardware or across a network: a handshake waits for it as for
    /// ``init(chain:signer:)``, and no loop does. Such a key signs only: suites of TLS 1.2 that decrypt
    /// by it are left out.
    ///
    /// - Throws: ``SocketError`` `.invalidTLSConfiguration`.
    public func signingOffLoop() throws(SocketError) -> TLSIdentity {
        guard !hasExternalKey else { return self }
        let identity = self
        return try TLSIdentity(chain: certificateChain) { request in
            try await blocking { () throws(TLSError) in
                try identity.signature(of: request.message, scheme: request.scheme)
            }
        }
    }
}

extension Certificate {
    /// Reads certificates from where a URI says they are, without holding up who waits for them.
    ///
    /// - Parameters:
    ///   - uri: The place; a path is a file.
    ///   - passphrase: Opens what is encrypted.
    ///   - library: The library context whose providers know the scheme; nil is the process's.
    /// - Returns: At least one.
    /// - Throws: ``SocketError`` `.invalidTLSConfiguration`; what went wrong is in ``SocketError/tls``.
    public static func read(
        at uri: String,
        passphrase: SecretBytes? = nil,
        library: TLSLibrary? = nil
    ) async throws(SocketError) -> [Certificate] {
        try await blocking { () throws(TLSError) in
            try Certificate.read(uri: uri, passphrase: passphrase, library: library)
        }
    }
}

/// Makes a call that may block, on a thread for such.
private func blocking<Value: Sendable>(
    _ call: @escaping @Sendable () throws(TLSError) -> Value
) async throws(SocketError) -> Value {
    let task = Task(executorPreference: BlockingExecutor.shared) { () -> Result<Value, TLSError> in
        Result(catching: call)
    }
    do throws(TLSError) {
        return try await task.value.get()
    } catch {
        throw .configuration(error)
    }
}
