// What the keys of this process were used for. A key has one use (version and hash) and one role: the
// proofs of one use could be taken for those of another (RFC 8446 §4.2.11, RFC 9257 §4.1), and a node
// that is client and server under one key can be made to talk to itself (Selfie attack, RFC 9257 §4.1).
//
// The keys themselves are not kept: a digest of each under a secret of the process is.

import COpenSSL
import Synchronization

/// The uses of keys, remembered while the process runs.
enum PresharedKeyLedger {
    private struct Digest: Hashable {
        var high: UInt64
        var low: UInt64
    }

    private struct Entry {
        var use: PresharedKeyInfo.Use
        var role: TLSRole
    }

    private struct Entries {
        var known: [Digest: Entry] = [:]
        /// The digests in the order they came, a ring once it is full.
        var order: [Digest] = []
        var oldest = 0
    }

    private static let entries = Mutex(Entries())
    private static let secret = Result { () throws(TLSError) in try SecretBytes.random(count: 32) }
    /// The most keys remembered; the oldest goes.
    static let limit = 16384

    /// Notes that a key is about to be used.
    ///
    /// - Parameters:
    ///   - info: The key.
    ///   - role: The role this side plays.
    /// - Throws: ``TLSError`` `.presharedKeyReused` when it was used in another way before.
    static func enter(_ info: PresharedKeyInfo, as role: TLSRole) throws(TLSError) {
        let digest = try digest(of: info.key)
        let known = entries.withLock { entries -> Entry? in
            if let known = entries.known[digest] { return known }
            entries.known[digest] = Entry(use: info.use, role: role)
            if entries.order.count < limit {
                entries.order.append(digest)
            } else {
                entries.known[entries.order[entries.oldest]] = nil
                entries.order[entries.oldest] = digest
                entries.oldest = (entries.oldest + 1) % limit
            }
            return nil
        }
        guard let known else { return }
        guard known.use == info.use else {
            throw TLSError(
                .presharedKeyReused,
                detail: "it is for \(info.use), and was used for \(known.use)",
                hint: "Give each version and hash a key of its own"
            )
        }
        guard known.role == role || info.roles != .one else {
            throw TLSError(
                .presharedKeyReused,
                detail: "this process was the \(known.role.rawValue) under it, and is the "
                    + "\(role.rawValue) now",
                hint: "Give each pair of client and server a key of its own (RFC 9257 §4.1), or "
                    + "say why both roles are right"
            )
        }
    }

    private static func digest(of key: SecretBytes) throws(TLSError) -> Digest {
        let secret = try secret.get()
        var bytes = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
        let isMade = unsafe secret.withPointer { secret, secretCount in
            unsafe key.withPointer { key, keyCount in
                // The digest has the length that HMAC writes.
                unsafe HMAC(EVP_sha256(), secret, CInt(secretCount), key, keyCount, &bytes, nil)
                    != nil
            }
        }
        guard isMade else { throw ErrorQueue.error(.internalError) }
        let number = { (part: ArraySlice<UInt8>) in part.reduce(0) { $0 << 8 | UInt64($1) } }
        return Digest(high: number(bytes[0..<8]), low: number(bytes[8..<16]))
    }
}
