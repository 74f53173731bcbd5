// What tells a file from another, and from itself before a change, without reading it.

import Glibc

/// What the system says of the file that a path leads to, links followed.
///
/// Two equal stamps mean an unchanged file, unless it was changed twice within one tick of the kernel's
/// clock: see ``isFresh(at:)``.
package struct FileStamp: Hashable, Sendable {
    private let device: UInt64
    private let inode: UInt64
    /// The file's bytes.
    package let size: Int64
    private let modified: Int64
    /// When contents or attributes were last changed, in nanoseconds since 1970.
    private let changed: Int64

    /// Asks the system; nil when there is no such file, or it cannot be asked.
    package init?(path: String) {
        var status = stat()
        // The structure is the call's to fill.
        guard unsafe stat(path, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = Int64(status.st_size)
        modified = FileStamp.nanoseconds(status.st_mtim)
        changed = FileStamp.nanoseconds(status.st_ctim)
    }

    /// Whether the file was changed so short a time before that another change could look the same.
    ///
    /// - Parameter time: When the stamp was taken, in seconds since 1970.
    /// - Returns: True within two seconds of the change.
    package func isFresh(at time: Int64) -> Bool {
        changed / 1_000_000_000 >= time - 2
    }

    private static func nanoseconds(_ time: timespec) -> Int64 {
        Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}
