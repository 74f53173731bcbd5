// A library context of OpenSSL's own: which providers do the cryptography, and what is demanded of
// them. Those that use none work in the process's, and pay a look at a nil.
//
// Certificates, keys and connections hold pointers into their context, and go where the application
// carries them. A context therefore lives as long as the process, and equal descriptions share one.

import COpenSSL
import Synchronization

/// A library context of OpenSSL's: providers, and a property query that every algorithm has to meet.
///
/// ```swift
/// let fips = try TLSLibrary(
///     providers: ["fips", "base"],
///     properties: "fips=yes",
///     configurationFile: "/etc/ssl/fipsmodule.cnf"
/// )
/// socket.library = fips
/// ```
///
/// What a handshake computes, and the verification of chains, is done in it. What this package does
/// beside them is not: sealing of sessions, fingerprints, and the check of stapled OCSP responses.
///
/// Made once it is there as long as the process lives; making an equal one gives the same.
/// - Note: OpenSSL `OSSL_LIB_CTX`, `OSSL_PROVIDER_load`, `EVP_set_default_properties`.
public struct TLSLibrary: Sendable {
    private struct Description: Hashable, Sendable {
        var providers: [String]
        var properties: String?
        var configurationFile: String?
        var searchPath: String?
    }

    /// The context.
    @safe
    private final class Context: @unchecked Sendable {
        // Sendable: OpenSSL locks what it changes in it. Never freed, see above.
        let pointer: OpaquePointer
        init(_ pointer: OpaquePointer) { unsafe self.pointer = pointer }
    }

    private static let made = Mutex<[Description: Context]>([:])

    private let parts: Description
    private let context: Context

    /// Loads providers into a context of their own.
    ///
    /// - Parameters:
    ///   - providers: Names of providers, for example `default`, `legacy`, `fips`, `pkcs11`; without any
    ///     what the configuration file loads, else the default provider.
    ///   - properties: What every algorithm has to meet, for example `fips=yes` or `provider=default`;
    ///     nil demands nothing.
    ///   - configurationFile: A configuration file of OpenSSL's; nil reads none, not even the system's.
    ///   - searchPath: The directory with the providers' modules; nil is where OpenSSL looks.
    /// - Throws: ``TLSError`` `.providerUnavailable` that names what is missing.
    public init(
        providers: [String] = [],
        properties: String? = nil,
        configurationFile: String? = nil,
        searchPath: String? = nil
    ) throws(TLSError) {
        try OpenSSLLibrary.requireSupportedVersion()
        let parts = Description(
            providers: providers,
            properties: properties,
            configurationFile: configurationFile,
            searchPath: searchPath
        )
        context = try TLSLibrary.made.withLock { made throws(TLSError) in
            if let known = made[parts] { return known }
            let context = try TLSLibrary.make(parts)
            made[parts] = context
            return context
        }
        self.parts = parts
    }

    /// The default provider and that of algorithms that are broken or out of use: what old PKCS #12
    /// files need to be opened.
    ///
    /// - Throws: ``TLSError`` `.providerUnavailable` where the system has no legacy provider.
    public static func legacy() throws(TLSError) -> TLSLibrary {
        try TLSLibrary(providers: ["default", "legacy"])
    }

    /// The names of the providers, as they were given.
    public var providers: [String] { parts.providers }
    /// What every algorithm has to meet; nil for nothing.
    public var properties: String? { parts.properties }

    /// Whether a provider is loaded, by whatever way.
    ///
    /// - Note: OpenSSL `OSSL_PROVIDER_available`.
    public func isLoaded(_ provider: String) -> Bool {
        unsafe OSSL_PROVIDER_available(pointer, provider) == 1
    }

    var pointer: OpaquePointer { unsafe context.pointer }

    private static func make(_ parts: Description) throws(TLSError) -> Context {
        ErrorQueue.clear()
        guard let pointer = unsafe OSSL_LIB_CTX_new() else {
            throw ErrorQueue.error(.internalError)
        }
        var loaded: [OpaquePointer] = unsafe []
        do throws(TLSError) {
            try unsafe load(parts, into: pointer, &loaded)
        } catch {
            // The context alone does not let go of what was loaded by name.
            unsafe loaded.reversed().forEach { _ = unsafe OSSL_PROVIDER_unload($0) }
            unsafe OSSL_LIB_CTX_free(pointer)
            throw error
        }
        ErrorQueue.clear()
        return unsafe Context(pointer)
    }

    private static func load(
        _ parts: Description,
        into pointer: OpaquePointer,
        _ loaded: inout [OpaquePointer]
    ) throws(TLSError) {
        if let path = parts.searchPath {
            guard unsafe OSSL_PROVIDER_set_default_search_path(pointer, path) == 1 else {
                throw ErrorQueue.error(.internalError)
            }
        }
        if let file = parts.configurationFile {
            guard unsafe OSSL_LIB_CTX_load_config(pointer, file) == 1 else {
                throw ErrorQueue.error(
                    .providerUnavailable,
                    "the configuration file \(file)",
                    hint: "Check that the file exists, and that its providers are installed"
                )
            }
        }
        for name in parts.providers {
            guard let provider = unsafe OSSL_PROVIDER_load(pointer, name) else {
                throw ErrorQueue.error(.providerUnavailable, name, hint: hint(for: name))
            }
            unsafe loaded.append(provider)
        }
        guard let properties = parts.properties else { return }
        guard unsafe EVP_set_default_properties(pointer, properties) == 1 else {
            throw ErrorQueue.error(.providerUnavailable, "the properties \"\(properties)\"")
        }
        // What no handshake could do without.
        let digest = unsafe EVP_MD_fetch(pointer, "SHA2-256", nil)
        let cipher = unsafe EVP_CIPHER_fetch(pointer, "AES-128-GCM", nil)
        defer {
            unsafe EVP_MD_free(digest)
            unsafe EVP_CIPHER_free(cipher)
        }
        guard unsafe digest != nil, unsafe cipher != nil else {
            throw ErrorQueue.error(
                .providerUnavailable,
                "no provider that is loaded has \"\(properties)\"",
                hint: properties.contains("fips") ? hint(for: "fips") : nil
            )
        }
    }

    private static func hint(for provider: String) -> String {
        provider == "fips"
            ? "Install OpenSSL's FIPS module, run openssl fipsinstall, and give its configuration file; "
                + "Debian's OpenSSL comes without one"
            : "Install the module \(provider).so, or give the directory that holds it as searchPath"
    }
}

extension TLSLibrary: Hashable {
    /// Compares what they were made of.
    public static func == (left: TLSLibrary, right: TLSLibrary) -> Bool {
        left.parts == right.parts
    }

    /// Hashes what it was made of.
    public func hash(into hasher: inout Hasher) { hasher.combine(parts) }
}

extension TLSLibrary: CustomStringConvertible {
    /// The providers and the properties.
    public var description: String {
        let names = providers.isEmpty ? "default providers" : providers.joined(separator: ", ")
        return properties.map { "\(names) with \($0)" } ?? names
    }
}

// MARK: What moves into a context

extension SSLContextBuilder {
    /// A certificate as the policy's library context reads it.
    func handle(of certificate: Certificate) throws(TLSError) -> X509Handle {
        try certificate.handle(in: policy.library)
    }
}

extension Certificate {
    /// The certificate as a library context reads it.
    func handle(in library: TLSLibrary?) throws(TLSError) -> X509Handle {
        guard let library else { return handle }
        ErrorQueue.clear()
        var pointer = unsafe X509_new_ex(library.pointer, library.properties)
        let read = unsafe der.withUnsafeBufferPointer { bytes in
            var cursor = bytes.baseAddress
            // Frees what it was given when it cannot read.
            return unsafe d2i_X509(&pointer, &cursor, bytes.count)
        }
        guard let read = unsafe read else { throw ErrorQueue.error(.invalidCertificate, shortName) }
        return unsafe X509Handle(owning: read)
    }
}

extension TLSIdentity {
    /// The key as a library context's providers hold it; one that cannot leave its own stays there.
    func key(in library: TLSLibrary?) throws(TLSError) -> PrivateKeyHandle {
        guard let library, external == nil else { return key }
        ErrorQueue.clear()
        guard let plain = unsafe EVP_PKEY2PKCS8(key.pointer) else {
            ErrorQueue.clear()
            return key
        }
        // Wipes the key it carries.
        defer { unsafe PKCS8_PRIV_KEY_INFO_free(plain) }
        guard
            let pointer = unsafe EVP_PKCS82PKEY_ex(plain, library.pointer, library.properties)
        else { throw ErrorQueue.error(.invalidPrivateKey, "\(library)") }
        return unsafe PrivateKeyHandle(owning: pointer)
    }
}

// MARK: What a report says

extension SSLConnection {
    /// The provider of the negotiated suite's cipher.
    func provider(in library: TLSLibrary?) -> String? {
        guard let suite = unsafe SSL_get_current_cipher(ssl) else { return nil }
        return OpenSSLProviders.name(
            ofCipher: unsafe SSL_CIPHER_get_cipher_nid(suite),
            in: library
        )
    }
}

/// Which provider does what, looked up once each.
private enum OpenSSLProviders {
    private struct Place: Hashable {
        var library: TLSLibrary?
        var cipher: CInt
    }

    private static let known = Mutex<[Place: String]>([:])

    static func name(ofCipher number: CInt, in library: TLSLibrary?) -> String? {
        let place = Place(library: library, cipher: number)
        if let name = known.withLock({ $0[place] }) { return name }
        // libssl fetches it in the same way, by the same name.
        let cipher = unsafe EVP_CIPHER_fetch(
            library?.pointer,
            OBJ_nid2sn(number),
            library?.properties
        )
        ErrorQueue.clear()
        guard let cipher = unsafe cipher else { return nil }
        defer { unsafe EVP_CIPHER_free(cipher) }
        guard let text = unsafe OSSL_PROVIDER_get0_name(EVP_CIPHER_get0_provider(cipher)) else {
            return nil
        }
        let name = unsafe String(cString: text)
        known.withLock { $0[place] = name }
        return name
    }
}
