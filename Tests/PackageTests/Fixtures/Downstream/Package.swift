// swift-tools-version: 6.3
// A package of somebody else's: it depends on this one by path, as a user's does by URL. Each folder
// under Sources is one program; the tests add one for every snippet of the README. Tests has the test
// kit under XCTest; the tests add the articles' programs, which use Swift Testing.

import Foundation
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("ImmutableWeakCaptures"),
]

/// What a program of the README may import; the others have `Sockets` alone.
let allProducts = ["Sockets", "TLSEngine", "TLSInspection", "TLSTestKit"]

let programs = try FileManager.default.contentsOfDirectory(
    atPath: Context.packageDirectory + "/Sources"
)

let package = Package(
    name: "downstream",
    dependencies: [.package(name: "swift-sockets", path: "PATH-OF-SWIFT-SOCKETS")],
    targets: programs.sorted().map { program in
        .executableTarget(
            name: program,
            dependencies: (program == "reach" ? ["Sockets"] : allProducts).map {
                .product(name: $0, package: "swift-sockets")
            },
            swiftSettings: settings
        )
    } + [
        .testTarget(
            name: "KitTests",
            dependencies: allProducts.map { .product(name: $0, package: "swift-sockets") },
            swiftSettings: settings
        )
    ]
)
