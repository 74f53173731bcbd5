// Trust anchors as OpenSSL searches them. The system's store is loaded once a process: reading its
// 140 certificates for each context costs more than a handshake.

import COpenSSL
import CTLSTransport
import Synchronization

enum TrustStore {
    /// Where distributions keep their bundle.
    private static let bundlePlaces = [
        "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
    ]
    /// One for each library context; the key nil is the process's.
    private static let system = Mutex<[TLSLibrary?: X509StoreHandle]>([:])

    /// The store for a policy's anchors.
    ///
    /// - Throws: ``TLSError`` `.emptyTrustStore` when there is nothing to trust.
    static func store(
        for anchors: TrustPolicy.Anchors,
        in library: TLSLibrary? = nil
    ) throws(TLSError) -> X509StoreHandle {
        switch anchors {
        case .system: try systemStore(library)
        case .certificates(let certificates): try store(of: certificates, library)
        }
    }

    private static func systemStore(_ library: TLSLibrary?) throws(TLSError) -> X509StoreHandle {
        try system.withLock { cached throws(TLSError) in
            if let known = cached[library] { return known }
            let store = try loadSystemStore(library)
            cached[library] = store
            return store
        }
    }

    private static func loadSystemStore(
        _ library: TLSLibrary?
    ) throws(TLSError) -> X509StoreHandle {
        let (context, query) = unsafe (library?.pointer, library?.properties)
        let store = try makeStore()
        let fileVariable = unsafe ctls_environment(X509_get_default_cert_file_env())
        let directoryVariable = unsafe ctls_environment(X509_get_default_cert_dir_env())
        if let fileVariable = unsafe fileVariable {
            _ = unsafe X509_STORE_load_file_ex(store.pointer, fileVariable, context, query)
        }
        for place in bundlePlaces
        where unsafe fileVariable == nil && cssl_x509_store_count(store.pointer) == 0 {
            _ = unsafe X509_STORE_load_file_ex(store.pointer, place, context, query)
        }
        // A directory is searched when a chain is built, so what it holds cannot be counted here.
        if let directoryVariable = unsafe directoryVariable {
            _ = unsafe X509_STORE_load_path(store.pointer, directoryVariable)
        }
        ErrorQueue.clear()
        let isEmpty = unsafe cssl_x509_store_count(store.pointer) == 0 && directoryVariable == nil
        guard !isEmpty else {
            throw TLSError(
                .emptyTrustStore,
                detail: "no certificate bundle was found on this system",
                hint: "Install ca-certificates, set SSL_CERT_FILE, or give anchors"
            )
        }
        return store
    }

    private static func store(
        of certificates: [Certificate],
        _ library: TLSLibrary?
    ) throws(TLSError) -> X509StoreHandle {
        guard !certificates.isEmpty else {
            throw TLSError(.emptyTrustStore, detail: "the trust policy's list of anchors is empty")
        }
        let store = try makeStore()
        for certificate in certificates {
            let handle = try certificate.handle(in: library)
            let added = unsafe X509_STORE_add_cert(store.pointer, handle.pointer)
            guard added == 1 else { throw ErrorQueue.error(.internalError) }
        }
        return store
    }

    private static func makeStore() throws(TLSError) -> X509StoreHandle {
        ErrorQueue.clear()
        guard let pointer = unsafe X509_STORE_new() else {
            throw ErrorQueue.error(.internalError)
        }
        return unsafe X509StoreHandle(owning: pointer)
    }
}
