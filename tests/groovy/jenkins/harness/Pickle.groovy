package harness

import groovy.transform.CompileStatic

/** Objects as bytes, and back with the classes of another class loader. */
@CompileStatic
class Pickle {
    static byte[] write(Object state) {
        def bytes = new ByteArrayOutputStream()
        new Writer(bytes).withStream { ObjectOutputStream it -> it.writeObject(state) }
        return bytes.toByteArray()
    }

    static Object read(byte[] bytes, ClassLoader loader) {
        new Reader(new ByteArrayInputStream(bytes), loader).readObject()
    }

    private static class Writer extends ObjectOutputStream {
        Writer(OutputStream bytes) {
            super(bytes)
            enableReplaceObject(true)
        }

        /** Jenkins can save a range, which Java cannot. */
        protected Object replaceObject(Object object) {
            object instanceof IntRange ? new SavedRange((IntRange) object) : object
        }
    }

    private static class SavedRange implements Serializable {
        private final int from
        private final int to

        SavedRange(IntRange range) {
            from = range.reverse ? range.toInt : range.fromInt
            to = range.reverse ? range.fromInt : range.toInt
        }

        private Object readResolve() { new IntRange(true, from, to) }
    }

    private static class Reader extends ObjectInputStream {
        private final ClassLoader loader

        Reader(InputStream bytes, ClassLoader loader) {
            super(bytes)
            this.loader = loader
        }

        protected Class<?> resolveClass(ObjectStreamClass description) {
            try {
                return Class.forName(description.name, false, loader)
            } catch (ClassNotFoundException e) {
                return super.resolveClass(description)
            }
        }
    }
}
