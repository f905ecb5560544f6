"""A throwaway Kubernetes cluster: several nodes in namespaces of one Linux machine, gone without a trace.

Read the modules in the order in which data flows through them: `plan` (names, addresses: pure data) → `pki` and
`components` (files and command lines) → `sandbox` and `init` (namespaces, processes) → `addons` (what the API server is
asked for) → `cluster` (the recipe) → `cli`.

What they are made of comes from a second line: `requirements` (what the host must have) → `build` (programs from the
pinned Go modules) → `images` and `image_store` (images from programs), kept in the `cache`.
"""
