// Regular files, read from front to back: bodies of sockets, certificates and keys. Reads block as
// long as the disk does, so callers keep them off the event loops.

import Glibc

/// An open file that is read from front to back.
package struct ByteFile: ~Copyable {
    private let descriptor: Descriptor

    /// Opens a file for reading.
    ///
    /// - Throws: open's failure.
    package init(path: String) throws(SystemCallError) {
        let number = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard number >= 0 else { throw SystemCallError(Errno(rawValue: errno), call: "open") }
        descriptor = Descriptor(owning: number)
    }

    /// Reads the next bytes.
    ///
    /// - Parameter limit: The most bytes to read.
    /// - Returns: 1...`limit` bytes; none at the end of the file.
    /// - Throws: read's failure, for example EISDIR for a directory.
    package mutating func read(upTo limit: Int) throws(SystemCallError) -> [UInt8] {
        let number = descriptor.rawValue
        var failure: Errno?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
            while true {
                let result = unsafe Glibc.read(number, buffer.baseAddress, buffer.count)
                guard result < 0 else {
                    count = result
                    return
                }
                let error = Errno(rawValue: errno)
                guard error == .interrupted else {
                    failure = error
                    return
                }
            }
        }
        if let failure { throw SystemCallError(failure, call: "read") }
        return bytes
    }

    /// Reads the next bytes into memory of the caller's.
    ///
    /// - Parameter output: Has room for at least one.
    /// - Returns: How many bytes were appended; 0 at the end of the file.
    /// - Throws: read's failure.
    package mutating func read(
        into output: inout OutputSpan<UInt8>
    ) throws(SystemCallError) -> Int {
        let number = descriptor.rawValue
        let result = unsafe output.withUnsafeMutableBufferPointer { buffer, count in
            while true {
                // The room behind what is initialised.
                let room = unsafe UnsafeMutableRawBufferPointer(
                    UnsafeMutableBufferPointer(rebasing: buffer[count...])
                )
                let result = unsafe Glibc.read(number, room.baseAddress, room.count)
                guard result < 0 else {
                    count += result
                    return result
                }
                let error = errno
                guard Errno(rawValue: error) == .interrupted else { return -Int(error) }
            }
        }
        guard result >= 0 else {
            throw SystemCallError(Errno(rawValue: Int32(-result)), call: "read")
        }
        return result
    }

    /// Overwrites bytes that must not stay behind in memory.
    ///
    /// - Parameter bytes: The only copy; empty afterwards.
    package static func wipe(_ bytes: inout [UInt8]) {
        unsafe bytes.withUnsafeMutableBytes { memory in
            guard let start = memory.baseAddress else { return }
            unsafe explicit_bzero(start, memory.count)
        }
        bytes = []
    }

    /// Reads a whole file.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - limit: The most bytes it may have.
    /// - Returns: All its bytes.
    /// - Throws: open's or read's failure; EFBIG for a larger file.
    package static func contents(
        of path: String,
        limit: Int
    ) throws(SystemCallError) -> [UInt8] {
        var file = try ByteFile(path: path)
        var contents: [UInt8] = []
        while true {
            let piece = try file.read(upTo: 64 << 10)
            guard !piece.isEmpty else { return contents }
            contents += piece
            guard contents.count <= limit else {
                throw SystemCallError(.fileTooLarge, call: "read")
            }
        }
    }
}
