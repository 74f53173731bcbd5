// Certificates, keys, authorities and staples in files, which somebody else renews while the listener
// runs. Reading them is here; when to look again is `FileWatch`.
//
// They are changed in every way there is: rewritten in place, replaced by a rename, or all at once by a
// link that points elsewhere (the secrets of a cluster). So a file is what its path leads to now, a look
// at all of them counts only when none of them changed meanwhile, and a key that does not belong to its
// certificate is the middle of a change.

import SocketCore

/// Where a listener's identity and what belongs to it stand, and how often they are looked at.
///
/// ```swift
/// SocketListenerInit(type: .tls, local: address) {
///     $0.files = TLSFiles(certificate: "/etc/tls/tls.crt", privateKey: "/etc/tls/tls.key")
/// }
/// ```
///
/// The listener reads them at its start, and again when one of them has changed. Where they cannot be
/// used, it keeps what it has, tells ``ListenerEvent/reloadFailed(_:)`` and tries again.
public struct TLSFiles: Hashable, Sendable {
    /// The chain in PEM, leaf first, or one certificate in DER.
    public var certificate: String
    /// The leaf's key in PEM or DER; may be the same file.
    public var privateKey: String
    /// Opens an encrypted key.
    public var passphrase: SecretBytes?
    /// Certificates in PEM that clients' certificates are to lead to.
    ///
    /// They take the place of ``TrustPolicy/anchors``; nil leaves those.
    public var clientAnchors: String?
    /// An OCSP response in DER about the certificate, which is stapled; nil for none.
    ///
    /// A file that is not there, or is empty, staples nothing.
    public var staple: String?
    /// The time from one look at the files to the next; 30 s by default.
    ///
    /// After files that could not be used it is a second at most.
    public var interval: Duration = .seconds(30)

    /// Names the files of an identity.
    ///
    /// - Parameters:
    ///   - certificate: The chain in PEM, leaf first, or one certificate in DER.
    ///   - privateKey: The leaf's key in PEM or DER.
    ///   - passphrase: Opens an encrypted key.
    ///   - clientAnchors: Certificates that clients' certificates are to lead to.
    ///   - staple: An OCSP response about the certificate.
    public init(
        certificate: String,
        privateKey: String,
        passphrase: SecretBytes? = nil,
        clientAnchors: String? = nil,
        staple: String? = nil
    ) {
        self.certificate = certificate
        self.privateKey = privateKey
        self.passphrase = passphrase
        self.clientAnchors = clientAnchors
        self.staple = staple
    }

    /// All paths.
    var paths: [String] {
        [certificate, privateKey] + [clientAnchors, staple].compactMap(\.self)
    }
}

/// What files held at one time, none of them in the middle of a change.
struct FileSnapshot: Sendable {
    /// Attempts to read them all while none changes.
    private static let attemptsMax = 5

    /// What stood at the paths; nil for what could not be read.
    private(set) var stamps: [String: FileStamp?] = [:]
    /// All of them as secrets: a key may stand in any.
    private var contents: [String: Result<SecretBytes, SystemCallError>] = [:]

    /// Reads files.
    init(reading paths: [String]) {
        for _ in 0..<FileSnapshot.attemptsMax {
            stamps = FileSnapshot.stamps(of: paths)
            contents = [:]
            for path in Set(paths) {
                contents[path] = Result { () throws(SystemCallError) in
                    try FileSnapshot.contents(of: path)
                }
            }
            if stamps == FileSnapshot.stamps(of: paths) { return }
        }
    }

    private static func contents(of path: String) throws(SystemCallError) -> SecretBytes {
        var file = try ByteFile(path: path)
        let size = min(Int(FileStamp(path: path)?.size ?? 0), credentialFileLimit)
        return try SecretBytes(capacity: size + 1) { output throws(SystemCallError) in
            while try file.read(into: &output) > 0 {
                // Too large, or growing at this moment.
                guard !output.isFull else { throw SystemCallError(.fileTooLarge, call: "read") }
            }
        }
    }

    static func stamps(of paths: [String]) -> [String: FileStamp?] {
        Dictionary(paths.map { ($0, FileStamp(path: $0)) }) { first, _ in first }
    }

    /// What stood at a path that was read.
    subscript(path: String) -> Result<SecretBytes, SystemCallError>? { contents[path] }

    /// What tells whether the contents are others; keys leave nothing else behind.
    var digest: [UInt8] {
        var all: [UInt8] = []
        for path in contents.keys.sorted() {
            all += OpenSSLLibrary.sha256(Array(path.utf8))
            switch contents[path] {
            case .success(let bytes)?: all += OpenSSLLibrary.sha256(bytes)
            case .failure(let error)?: all += Array("\(error.errno.rawValue)".utf8)
            case nil: break
            }
        }
        return OpenSSLLibrary.sha256(all)
    }

    /// Gives a file's bytes.
    func bytes(of path: String) throws(SocketError) -> [UInt8] {
        switch contents[path] {
        case .success(let bytes)?:
            return bytes.withBytes { bytes in
                [UInt8](capacity: bytes.count) { output in
                    for place in bytes.indices { output.append(bytes[place]) }
                }
            }
        case .failure(let error)?:
            throw SocketError(
                .systemCallFailed,
                detail: path,
                errno: error.errno.rawValue,
                systemCall: error.call
            )
        case nil: throw SocketError(.invalidOption, detail: "\(path) was not read")
        }
    }
}

extension TLSSocketListenerInit {
    /// The files of the listener and of its hosts.
    private var allFiles: [TLSFiles] {
        ([files] + hosts.map { $0.tls?.files }).compactMap(\.self)
    }

    /// The members with what stands in the files, and who looks after those; nil without files.
    func loadingFiles() throws(SocketError) -> (TLSSocketListenerInit, FileWatch?) {
        let all = allFiles
        guard let interval = all.map(\.interval).min() else { return (self, nil) }
        guard interval > .zero else {
            throw SocketError(.invalidOption, detail: "the interval of files is \(interval)")
        }
        let snapshot = FileSnapshot(reading: all.flatMap(\.paths))
        var loaded = try filled(from: snapshot)
        for place in loaded.hosts.indices {
            loaded.hosts[place].tls = try loaded.hosts[place].tls.map {
                tls throws(SocketError) in try tls.filled(from: snapshot)
            }
        }
        return (loaded, FileWatch(snapshot, interval: interval))
    }

    private func filled(from snapshot: FileSnapshot) throws(SocketError) -> TLSSocketListenerInit {
        guard let files else { return self }
        guard identity == nil, key == nil, cert == nil, files.staple == nil || ocspResponse == nil
        else {
            throw SocketError(
                .invalidOption,
                detail: "files are named, and what stands in them is given too"
            )
        }
        var filled = self
        filled.files = nil
        filled.identity = try snapshot.identity(of: files)
        if let path = files.clientAnchors {
            let bytes = try snapshot.bytes(of: path)
            do throws(TLSError) {
                filled.trust.anchors = .certificates(try Certificate.read(bytes))
            } catch {
                throw SocketError(.invalidTLSConfiguration, detail: path, tls: error)
            }
        }
        if let path = files.staple {
            let bytes = try snapshot.staple(at: path)
            filled.ocspResponse = bytes.isEmpty ? nil : bytes
        }
        return filled
    }
}

extension FileSnapshot {
    fileprivate func identity(of files: TLSFiles) throws(SocketError) -> TLSIdentity {
        let certificate = try bytes(of: files.certificate)
        var key = try bytes(of: files.privateKey)
        defer { ByteFile.wipe(&key) }
        do throws(TLSError) {
            return try TLSIdentity(
                certificate: certificate,
                privateKey: key,
                passphrase: files.passphrase
            )
        } catch {
            throw SocketError(
                .invalidTLSConfiguration,
                detail: "\(files.certificate), \(files.privateKey)",
                tls: error
            )
        }
    }

    /// The staple at a path; nothing where there is no file.
    fileprivate func staple(at path: String) throws(SocketError) -> [UInt8] {
        if case .failure(let error)? = self[path], error.errno == .noSuchFileOrDirectory {
            return []
        }
        return try bytes(of: path)
    }
}
