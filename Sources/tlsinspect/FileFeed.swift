// A file or standard input in pieces, read by a thread of its own: reading a pipe may take for ever, and
// somebody who ends the program does not want to wait for it. The thread is one piece ahead.

import Foundation
import Glibc
import Synchronization
import TLSInspection
import Tooling

/// What is read of a file.
enum FilePiece: Sendable {
    /// The next bytes.
    case bytes([UInt8])
    /// Why there are no more.
    case failure(String)
}

/// Reads a file.
final class FileFeed: Sendable {
    /// The most bytes of a piece.
    static let pieceBytes = 1 << 20

    /// The file's size; nil for what is no plain file.
    let size: Int?
    /// The pieces; the stream is over at the end of the file.
    let pieces: AsyncStream<FilePiece>
    private let feed: AsyncStream<FilePiece>.Continuation
    private let demand = Demand()
    private let atEnd = Atomic(false)

    /// Opens a file.
    ///
    /// - Parameter path: The file; `-` is standard input.
    /// - Throws: ``ToolFailure`` when it cannot be opened.
    init(_ path: String) throws(ToolFailure) {
        let descriptor = path == "-" ? STDIN_FILENO : unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw ToolFailure(
                code: "unreadable_file",
                message: "\(Printable.text(path)): \(FileFeed.reason(errno))"
            )
        }
        var facts = stat()
        let isPlain = unsafe fstat(descriptor, &facts) == 0 && facts.st_mode & S_IFMT == S_IFREG
        size = isPlain ? Int(facts.st_size) : nil
        (pieces, feed) = AsyncStream.makeStream()
        feed.onTermination = { [demand] _ in demand.end() }
        Thread.detachNewThread { [self] in
            read(descriptor)
            if descriptor != STDIN_FILENO { close(descriptor) }
        }
    }

    /// Whether the end of the file was read.
    var isAtEnd: Bool { atEnd.load(ordering: .acquiring) }

    /// Ends the stream behind what was read.
    func end() { feed.finish() }

    /// Lets the next piece but one be read.
    func advance() { demand.advance() }

    private func read(_ descriptor: CInt) {
        while demand.wait() {
            var failure: CInt = 0
            // What is there, at most a piece: a pipe gives it as it comes.
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: FileFeed.pieceBytes) {
                buffer,
                count in
                var got = 0
                repeat {
                    got = unsafe Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                } while got < 0 && errno == EINTR
                if got < 0 { failure = errno }
                count = max(0, got)
            }
            if failure != 0 { feed.yield(.failure(FileFeed.reason(failure))) }
            guard !bytes.isEmpty else {
                atEnd.store(true, ordering: .releasing)
                break
            }
            feed.yield(.bytes(bytes))
        }
        feed.finish()
    }

    private static func reason(_ number: CInt) -> String {
        unsafe String(cString: strerror(number))
    }
}

/// How many pieces may be read.
private final class Demand: @unchecked Sendable {
    // The condition guards both.
    private let condition = NSCondition()
    private var pieces = 2
    private var isOver = false

    func advance() {
        condition.lock()
        pieces += 1
        condition.signal()
        condition.unlock()
    }

    func end() {
        condition.lock()
        isOver = true
        condition.signal()
        condition.unlock()
    }

    /// Waits until a piece may be read; false when no more are wanted.
    func wait() -> Bool {
        condition.lock()
        defer { condition.unlock() }
        while pieces == 0, !isOver { condition.wait() }
        pieces -= 1
        return !isOver
    }
}
