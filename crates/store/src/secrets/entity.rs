//! The tables of secrets.

pub(crate) mod data_key {
    #![expect(
        unreachable_pub,
        reason = "entities are public to the macro that derives them"
    )]

    use sea_orm::entity::prelude::*;

    /// What encrypts the secrets of one owner.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "data_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub owner: Uuid,
        /// Which master key it is encrypted with.
        pub key_id: String,
        pub wrapped: Vec<u8>,
        pub created_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod secret {
    #![expect(
        unreachable_pub,
        reason = "entities are public to the macro that derives them"
    )]

    use sea_orm::entity::prelude::*;

    /// One secret.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "secrets")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub owner: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub sealed: Vec<u8>,
        pub updated_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod master_key {
    #![expect(
        unreachable_pub,
        reason = "entities are public to the macro that derives them"
    )]

    use sea_orm::entity::prelude::*;

    /// The id of the only row.
    pub(crate) const THE_ONE: i32 = 1;

    /// Which master key is in force; the key itself is not here.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "master_key")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub key_id: String,
        pub changed_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
