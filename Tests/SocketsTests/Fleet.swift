// Processes of a fleet as tests see them: where they listen, what they applied, and an end for each.

import Foundation
import TLSTestKit
import Testing
import ToolFixtures

@testable import Sockets

/// Three processes that share a directory; they are killed when the fleet is dropped.
final class Fleet: Sendable {
    /// How they resume each other's sessions.
    enum Means: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case tickets, store

        var testDescription: String { rawValue }
    }

    struct Member: Sendable {
        let address: SocketAddress
    }

    let members: [Member]
    let directory: TemporaryDirectory
    private let processes: [HeldProcess]

    /// Starts processes, and waits until all listen.
    init(_ means: Means, count: Int = 3) async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path
        let secret = (0..<32).map { _ in String(UInt8.random(in: 16...255), radix: 16) }.joined()
        let (certificate, key) = try Credentials.shared().serverPEM
        try Files.write(Array(secret.utf8), to: path + "/secret")
        try Files.write(certificate, to: path + "/certificate.pem")
        try Files.write(key, to: path + "/key.pem")
        try FileManager.default.createDirectory(
            atPath: path + "/sessions",
            withIntermediateDirectories: false
        )
        let program = try ProcessRun.product("FleetMember")
        // Whoever sets variables has done so: to start a process reads them all, and not under a lock.
        try #require(SoakGauge.isPrepared)
        processes = try (0..<count).map { number in
            try HeldProcess([program.path, path, "\(number)", means.rawValue])
        }
        self.directory = directory
        var members: [Member] = []
        for number in 0..<count {
            let file = path + "/\(number).ready"
            await until { Files.exists(file) }
            let words = try String(contentsOfFile: file, encoding: .utf8).split(separator: " ")
            let port = try #require(words.last.flatMap { UInt16($0) })
            members.append(Member(address: SocketAddress("127.0.0.1", port: port)))
        }
        self.members = members
    }

    /// What one of them has applied.
    func applied(_ number: Int) -> [String] {
        let file = directory.path + "/\(number).log"
        let text = try? String(contentsOfFile: file, encoding: .utf8)
        return (text ?? "").split(separator: "\n").map(String.init)
    }

    /// Kills one, without a word to anybody.
    func kill(_ number: Int) { processes[number].kill() }
}
