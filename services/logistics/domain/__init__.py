"""Papers, carriers, shipments and the rules about them: pure."""
