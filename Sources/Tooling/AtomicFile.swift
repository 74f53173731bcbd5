// A file that is written whole or not at all: beside its place, and then put there by a rename. Whether that
// will work is asked for beforehand, so that nobody works for a minute to learn that a folder is not there.

import Foundation
import Glibc

/// A file that is replaced as a whole.
package struct AtomicFile: Sendable {
    /// Why a file cannot be written.
    package struct Failure: Error, CustomStringConvertible {
        /// The reason, which names the file.
        package let description: String
    }

    private let path: String
    /// Where it is in truth: a symbolic link stays one.
    private let place: String
    private let mode: mode_t?

    /// Finds out whether a file can be written; nothing of it is changed.
    ///
    /// - Parameter path: Its path; what stands there must be an ordinary file that may be written.
    /// - Throws: ``Failure``.
    package init(at path: String) throws(Failure) {
        self.path = path
        var facts = stat()
        if unsafe stat(path, &facts) == 0 {
            guard facts.st_mode & S_IFMT == S_IFREG else {
                throw Failure(description: "\(path) is no ordinary file")
            }
            guard unsafe access(path, W_OK) == 0 else { throw AtomicFile.failure(path) }
            mode = facts.st_mode & 0o7777
            place = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        } else {
            guard errno == ENOENT else { throw AtomicFile.failure(path) }
            mode = nil
            place = path
        }
        let probe = sibling
        let descriptor = unsafe open(probe, AtomicFile.flags, 0o666)
        guard descriptor >= 0 else { throw AtomicFile.failure(path) }
        _ = close(descriptor)
        _ = unsafe unlink(probe)
    }

    /// Replaces the file by a text.
    ///
    /// - Parameter text: What it holds then, in UTF-8.
    /// - Throws: ``Failure``; the file is as it was.
    package func write(_ text: String) throws(Failure) {
        let temporary = sibling
        let descriptor = unsafe open(temporary, AtomicFile.flags, 0o666)
        guard descriptor >= 0 else { throw AtomicFile.failure(path) }
        let isWritten = AtomicFile.write(Array(text.utf8), to: descriptor)
        let isKept = mode.map { fchmod(descriptor, $0) == 0 } ?? true
        let isDone = isWritten && isKept && fsync(descriptor) == 0
        let reason = errno
        guard close(descriptor) == 0, isDone else {
            _ = unsafe unlink(temporary)
            if !isDone { errno = reason }
            throw AtomicFile.failure(path)
        }
        guard unsafe rename(temporary, place) == 0 else {
            let reason = errno
            _ = unsafe unlink(temporary)
            errno = reason
            throw AtomicFile.failure(path)
        }
    }

    private static let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC

    /// A name in the same folder that nobody has.
    private var sibling: String {
        let folder = (place as NSString).deletingLastPathComponent
        let name = ".page-\(String(UInt64.random(in: .min ... .max), radix: 16))"
        return folder.isEmpty ? name : (folder as NSString).appendingPathComponent(name)
    }

    private static func write(_ bytes: [UInt8], to descriptor: CInt) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                // Within the buffer: `done` is less than its count.
                unsafe Glibc.write(
                    descriptor,
                    UnsafeRawBufferPointer(rebasing: buffer[done...]).baseAddress,
                    buffer.count - done
                )
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }

    /// The error that `errno` tells of.
    private static func failure(_ path: String) -> Failure {
        let reason = unsafe String(cString: strerror(errno))
        return Failure(description: "\(path) cannot be written: \(reason)")
    }
}
