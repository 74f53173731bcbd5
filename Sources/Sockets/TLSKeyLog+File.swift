// The key log in a file, as Wireshark reads it.

import SocketCore

extension TLSKeyLog {
    /// Appends the secrets of connections to a file, by which **whoever reads it decrypts everything**:
    /// for debugging alone.
    ///
    /// The file is made readable for its owner only; one that is there keeps its rights. A line that
    /// cannot be written is lost.
    ///
    /// - Parameter path: The file (`tls.keylog_file` of Wireshark).
    /// - Returns: The log.
    /// - Throws: ``SocketError`` `.systemCallFailed` when the file cannot be opened.
    public static func appending(to path: String) throws(SocketError) -> TLSKeyLog {
        do throws(SystemCallError) {
            let file = try AppendedFile(path: path)
            return TLSKeyLog { file.append(line: $0) }
        } catch {
            throw .system(error)
        }
    }
}
