import Foundation
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct TemporaryDirectoryTests {
    @Test("a directory lives as long as its owner and goes with everything in it")
    func lifetime() throws {
        let files = FileManager.default
        let outside = try TemporaryDirectory()
        let kept = outside.path + "/kept"
        try Data([1]).write(to: URL(fileURLWithPath: kept))
        var path = ""
        do {
            let directory = try TemporaryDirectory(prefix: "lifetime-")
            path = directory.path
            let mode = try files.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(mode == 0o700)
            try files.createDirectory(
                atPath: path + "/a/b",
                withIntermediateDirectories: true
            )
            try Data([1]).write(to: URL(fileURLWithPath: path + "/a/b/c"))
            try files.createSymbolicLink(
                atPath: path + "/a/link",
                withDestinationPath: outside.path
            )
            #expect(files.fileExists(atPath: path + "/a/link/kept"))
        }
        #expect(!files.fileExists(atPath: path))
        #expect(files.fileExists(atPath: kept), "a symbolic link is removed, not followed")
    }

    @Test("two directories are never the same")
    func distinct() throws {
        let first = try TemporaryDirectory()
        let second = try TemporaryDirectory()
        #expect(first.path != second.path)
    }

    @Test("the scoped form removes the directory when its body throws")
    func scoped() async throws {
        struct Stop: Error {}
        var path = ""
        #expect(throws: Stop.self) {
            try withTemporaryDirectory {
                path = $0
                throw Stop()
            }
        }
        #expect(path.contains("/tls-test-kit-"))
        #expect(!FileManager.default.fileExists(atPath: path))
        let kept = try await withTemporaryDirectory { directory in
            await Task.yield()
            #expect(FileManager.default.fileExists(atPath: directory))
            return directory
        }
        #expect(!FileManager.default.fileExists(atPath: kept))
    }

    @Test("a prefix that leads nowhere is reported with its errno")
    func badPrefix() {
        let error = #expect(throws: TestKitError.self) {
            _ = try TemporaryDirectory(prefix: "no/x")
        }
        #expect(error?.code == .fileSystem)
        #expect(error?.errno == ENOENT)
    }
}
