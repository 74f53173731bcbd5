// The manual pages that are committed, held against the tool and against those who show them.

import Foundation

/// The manual pages of a tool.
public enum ManualPages {
    private static let root = URL(fileURLWithPath: #filePath)
        .appendingPathComponent("../../..").standardizedFileURL

    /// The files.
    ///
    /// - Parameter tool: The tool's name.
    /// - Returns: The paths of its pages in `docs/man`, in order.
    /// - Throws: What reading the folder throws.
    public static func files(of tool: String) throws -> [String] {
        let folder = root.appendingPathComponent("docs/man").path
        return try FileManager.default.contentsOfDirectory(atPath: folder)
            .filter { $0 == "\(tool).1" || $0.hasPrefix("\(tool)-") }.sorted()
            .map { "\(folder)/\($0)" }
    }

    /// Writes the pages anew in thought, and compares.
    ///
    /// - Parameter tool: The tool's name.
    /// - Returns: The run of `Scripts/man.py --check`.
    /// - Throws: ``ProcessRun/NotBuilt``, or what starting it throws.
    public static func check(_ tool: String) async throws -> ProcessRun {
        try await ProcessRun(
            URL(fileURLWithPath: "/usr/bin/env"),
            [
                "python3", root.appendingPathComponent("Scripts/man.py").path, "--check",
                try ProcessRun.product(tool).path, root.appendingPathComponent("docs/man").path,
            ]
        )
    }

    /// What programs that show manual pages complain of.
    ///
    /// - Parameter tool: The tool's name.
    /// - Returns: Their complaints, and which of them were there.
    /// - Throws: What starting them throws.
    public static func complaints(_ tool: String) async throws -> (text: String, by: [String]) {
        let readers: [[String]] = [
            ["mandoc", "-T", "lint", "-W", "warning"],
            ["groff", "-man", "-ww", "-T", "utf8", "-z"],
        ]
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        var text = ""
        var there: [String] = []
        for reader in readers {
            let isThere = folders.contains {
                FileManager.default.isExecutableFile(atPath: "\($0)/\(reader[0])")
            }
            guard isThere || ProcessInfo.processInfo.environment["SOCKETS_REQUIRE_PEERS"] == "1"
            else { continue }
            there.append(reader[0])
            for file in try files(of: tool) {
                let env = URL(fileURLWithPath: "/usr/bin/env")
                let run = try await ProcessRun(env, reader + [file])
                text += run.output + run.errors
                if run.exitCode != 0, run.errors.isEmpty, run.output.isEmpty {
                    text += "\(reader[0]) ended with \(run.exitCode) at \(file)\n"
                }
            }
        }
        return (text, there)
    }
}
