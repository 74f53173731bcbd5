// Which versions of the peers ran, for the head of docs/INTEROP.md.

import Synchronization

/// Versions that peers told.
enum PeerVersions {
    private static let known = Mutex<[String: String]>([:])

    static func note(_ peer: String, _ version: String) {
        known.withLock { $0[peer] = version }
    }

    /// By peer, in their words.
    static var all: [String: String] { known.withLock { $0 } }
}
