"""Text recognisers of Google, AWS and Azure behind one small interface, to compare the reader with."""
