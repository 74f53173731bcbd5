// swift-tools-version: 6.3
// A package of its own, so that what benchmarks need never reaches users of the library.
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let package = Package(
    name: "swift-sockets-benchmarks",
    dependencies: [
        .package(name: "swift-sockets", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    ],
    targets: [
        // What is measured, what it is measured against, and the load. The two in C share no code
        // with the library.
        .systemLibrary(
            name: "CBenchOpenSSL",
            pkgConfig: "openssl",
            providers: [.apt(["libssl-dev"])]
        ),
        .executableTarget(name: "sockets-bench-load", dependencies: ["CBenchOpenSSL"]),
        .executableTarget(name: "sockets-bench-reference", dependencies: ["CBenchOpenSSL"]),
        .executableTarget(
            name: "sockets-bench-server",
            dependencies: [
                .product(name: "Sockets", package: "swift-sockets"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings,
            // As a server is deployed, and whoever builds it: a handshake costs 5 % more when the
            // runtime is in libraries of its own.
            linkerSettings: [
                .unsafeFlags([
                    "-static-stdlib", "-l_FoundationCShims", "-l_FoundationCollections",
                ])
            ]
        ),

        // The driver: runs the cases, prints and draws, and holds counts against their baselines.
        .executableTarget(
            name: "sockets-bench",
            dependencies: [.product(name: "ArgumentParser", package: "swift-argument-parser")],
            swiftSettings: settings
        ),

        .target(name: "CAllocationCounter"),
        .testTarget(
            name: "AllocationTests",
            dependencies: [
                .product(name: "Sockets", package: "swift-sockets"),
                .product(name: "TLSTestKit", package: "swift-sockets"),
                "CAllocationCounter",
            ],
            swiftSettings: settings
        ),
    ]
)
