//! Enums whose variants have names on the wire, and sets of them.

/// Defines an enum from one table of its variants and their names. Its JSON is the name.
macro_rules! named_enum {
    (
        $(#[$doc:meta])*
        pub enum $Enum:ident {
            $($(#[$variant_doc:meta])* $Variant:ident = $name:literal,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Enum {
            $($(#[$variant_doc])* $Variant,)+
        }

        impl $Enum {
            /// All variants, in the order of their definition.
            pub const ALL: &[Self] = &[$(Self::$Variant,)+];

            /// Returns the name on the wire.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$Variant => $name,)+
                }
            }

            /// Returns the variant with a name; `None` if there is none.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }

        impl serde::Serialize for $Enum {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }
    };
}

/// Defines the type of sets of an enum that [`named_enum`] has defined.
macro_rules! set_of {
    ($(#[$doc:meta])* pub struct $Set:ident($Enum:ident);) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $Set(u32);

        // One bit for each variant.
        const _: () = assert!($Enum::ALL.len() <= u32::BITS as usize);

        impl $Set {
            const fn bit(one: $Enum) -> u32 {
                1 << one as u32
            }

            /// Returns true if the set contains the variant.
            pub fn has(self, one: $Enum) -> bool {
                self.0 & Self::bit(one) != 0
            }

            /// Returns true if the set is empty.
            pub fn is_empty(self) -> bool {
                self.0 == 0
            }
        }

        impl FromIterator<$Enum> for $Set {
            fn from_iter<I: IntoIterator<Item = $Enum>>(all: I) -> Self {
                Self(all.into_iter().fold(0, |bits, one| bits | Self::bit(one)))
            }
        }
    };
}

pub(crate) use {named_enum, set_of};

#[cfg(test)]
mod tests {
    named_enum! {
        /// More variants than a byte has bits.
        pub enum Digit {
            /// 0
            Zero = "zero",
            /// 1
            One = "one",
            /// 2
            Two = "two",
            /// 3
            Three = "three",
            /// 4
            Four = "four",
            /// 5
            Five = "five",
            /// 6
            Six = "six",
            /// 7
            Seven = "seven",
            /// 8
            Eight = "eight",
            /// 9
            Nine = "nine",
        }
    }

    set_of! {
        /// A set of digits.
        pub struct Digits(Digit);
    }

    #[test]
    fn each_variant_is_a_member_of_its_own() {
        for one in Digit::ALL {
            let set: Digits = [*one].into_iter().collect();
            let members = Digit::ALL.iter().filter(|other| set.has(**other));
            assert_eq!(members.collect::<Vec<_>>(), [one]);
        }
        assert!(Digits::default().is_empty());
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for one in Digit::ALL {
            assert_eq!(Digit::named(one.name()), Some(*one));
            assert_eq!(serde_json::to_value(one).unwrap(), one.name());
        }
        assert_eq!(Digit::named("Zero"), None);
    }
}
