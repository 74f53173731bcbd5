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
    /// - Parameter output: Receives 1...n bytes, or as many as there is room for.
    /// - Returns: How many; 0 at the end of the file.
    /// - Throws: read's failure, for example EISDIR for a directory.
    package mutating func read(
        into output: inout OutputSpan<UInt8>
    ) throws(SystemCallError) -> Int {
        let number = descriptor.rawValue
        var failure: Errno?
        let result = unsafe output.withUnsafeMutableBufferPointer { buffer, count in
            let rest = unsafe UnsafeMutableBufferPointer(rebasing: buffer[count...])
            while true {
                let result = unsafe Glibc.read(number, rest.baseAddress, rest.count)
                guard result < 0 else {
                    count += result
                    return result
                }
                let error = Errno(rawValue: errno)
                guard error == .interrupted else {
                    failure = error
                    return 0
                }
            }
        }
        if let failure { throw SystemCallError(failure, call: "read") }
        return result
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
                throw SystemCallError(Errno(rawValue: EFBIG), call: "read")
            }
        }
    }
}
